// The DET curve of a calibration: both errors on axes on which a normal spread of scores is a straight line.
import { percent } from "../format";

export interface Rate {
  threshold: number;
  far: number;
  frr: number;
}

const TICKS = [0.001, 0.01, 0.05, 0.2, 0.5, 0.8];
const [LOW, HIGH] = [0.0005, 0.9];
const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [460, 380, 64, 52, 12, 16];

/** The normal deviate of a probability: Acklam's approximation, good to 1e-9. */
function probit(p: number): number {
  const a = [-39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269, -30.66479806614716, 2.506628277459239];
  const b = [-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572];
  const c = [-0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968, 2.938163982698783];
  const d = [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416];
  const horner = (of: number[], x: number) => of.reduce((sum, value) => sum * x + value, 0);
  if (p < 0.02425) {
    const q = Math.sqrt(-2 * Math.log(p));
    return horner(c, q) / (horner(d, q) * q + 1);
  }
  if (p > 1 - 0.02425) return -probit(1 - p);
  const q = p - 0.5;
  return (horner(a, q * q) * q) / (horner(b, q * q) * q * q + 1);
}

const along = (p: number) => (probit(Math.min(HIGH, Math.max(LOW, p))) - probit(LOW)) / (probit(HIGH) - probit(LOW));
const x = (far: number) => LEFT + along(far) * (WIDTH - LEFT - RIGHT);
const y = (frr: number) => HEIGHT - BOTTOM - along(frr) * (HEIGHT - BOTTOM - TOP);

export function Det({ curve, eer, used }: { curve: Rate[]; eer: number; used: Rate[] }) {
  // Beyond the axes nothing is drawn: there the curve would run along their edges.
  const within = curve.filter((rate, i) => {
    const inside = (at: Rate | undefined) => at !== undefined && at.far >= LOW && at.far <= HIGH && at.frr >= LOW && at.frr <= HIGH;
    return inside(rate) || inside(curve[i - 1]) || inside(curve[i + 1]);
  });
  const line = within.map((rate) => `${x(rate.far).toFixed(1)},${y(rate.frr).toFixed(1)}`).join(" ");
  const label = (share: number) => percent(share, share < 0.01 ? 1 : 0);
  return (
    <figure class="det">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`DET curve. The errors are equal at ${percent(eer, 2)}.`}>
        {TICKS.map((tick) => (
          <g key={tick} class="axis">
            <line x1={x(tick)} x2={x(tick)} y1={TOP} y2={HEIGHT - BOTTOM} />
            <line x1={LEFT} x2={WIDTH - RIGHT} y1={y(tick)} y2={y(tick)} />
            <text x={x(tick)} y={HEIGHT - BOTTOM + 18} text-anchor="middle">
              {label(tick)}
            </text>
            <text x={LEFT - 8} y={y(tick) + 4} text-anchor="end">
              {label(tick)}
            </text>
          </g>
        ))}
        <line class="equal" x1={x(LOW)} y1={y(LOW)} x2={x(HIGH)} y2={y(HIGH)} />
        <polyline class="curve" points={line} />
        {used.map((rate, i) => (
          <circle key={i} class="used" cx={x(rate.far)} cy={y(rate.frr)} r="4.5" />
        ))}
        <text class="title" x={(LEFT + WIDTH - RIGHT) / 2} y={HEIGHT - 8} text-anchor="middle">
          Others accepted (FAR)
        </text>
        <text class="title" x={14} y={(TOP + HEIGHT - BOTTOM) / 2} text-anchor="middle" transform={`rotate(-90 14 ${(TOP + HEIGHT - BOTTOM) / 2})`}>
          Own refused (FRR)
        </text>
      </svg>
      <figcaption class="hint">Each point of the curve is a threshold; dots are those that were calibrated. Lower left is better.{within.length < 2 && " Here the scores of both kinds hardly overlap: the curve lies beyond the axes."}</figcaption>
    </figure>
  );
}
