// A block of a GPU's threads on one thread of a CPU, enough of it for the kernels in src/embed/cuda: threads change at
// barriers, a warp's instructions wait for its 32 lanes. The layouts of their operands are those of the PTX ISA
// ("Matrix Fragments for mma.m16n8k16 with floating point type", "ldmatrix"). Then each kernel is run on
// random numbers and compared with plain loops in f64.

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <ucontext.h>
#include <vector>

struct Index {
    unsigned x, y, z;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
static uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

#define EMULATED
#define __device__
#define __forceinline__ inline
#define __global__
#define __launch_bounds__(most)
#define __shared__ static
#define __align__(bytes) __attribute__((aligned(bytes)))
#define threadIdx (machine.current->index)
#define blockIdx (machine.block)
#define blockDim (machine.dimension)

constexpr unsigned LANES_OF_A_WARP = 32;

struct Thread {
    Index index;
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(128 << 10);
    bool done = false;
};

// Threads that wait for each other.
struct Meeting {
    unsigned came = 0, turn = 0;
};

// What a lane brings to an instruction of its warp.
struct Brought {
    uint32_t a[4], b[2];
    const uint16_t *row;
    float value;
};

struct Machine {
    Index block, dimension;
    std::vector<Thread> threads;
    Thread *current = nullptr;
    ucontext_t scheduler;
    Meeting all;
    std::vector<Meeting> warps;
    std::vector<Brought> brought;

    void wait(Meeting &meeting, unsigned members) {
        const unsigned turn = meeting.turn;
        if (++meeting.came == members) {
            meeting.came = 0;
            meeting.turn++;
        }
        while (meeting.turn == turn) swapcontext(&current->context, &scheduler);
    }

    unsigned warp() { return current->index.x / LANES_OF_A_WARP; }
    Brought *lanes() { return &brought[warp() * LANES_OF_A_WARP]; }
    void wait_for_warp() { wait(warps[warp()], LANES_OF_A_WARP); }
};

static Machine machine;
static std::function<void()> kernel;

static void begin() {
    kernel();
    machine.current->done = true;
    swapcontext(&machine.current->context, &machine.scheduler);
}

// All blocks of the grid, one after the other; `threads` a block, a multiple of 32.
static void launch(Index grid, unsigned threads, std::function<void()> what) {
    kernel = std::move(what);
    machine.dimension = {threads, 1, 1};
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                machine.block = {x, y, z};
                machine.all = {};
                machine.warps.assign(threads / LANES_OF_A_WARP, {});
                machine.brought.assign(threads, {});
                machine.threads = std::vector<Thread>(threads);
                for (unsigned i = 0; i < threads; i++) {
                    Thread &thread = machine.threads[i];
                    thread.index = {i, 0, 0};
                    getcontext(&thread.context);
                    thread.context.uc_stack.ss_sp = thread.stack.data();
                    thread.context.uc_stack.ss_size = thread.stack.size();
                    makecontext(&thread.context, begin, 0);
                }
                for (bool left = true; left;) {
                    left = false;
                    for (Thread &thread : machine.threads) {
                        if (thread.done) continue;
                        machine.current = &thread;
                        swapcontext(&machine.scheduler, &thread.context);
                        left |= !thread.done;
                    }
                }
            }
}

static float to_float(uint16_t bits) {
    _Float16 value;
    memcpy(&value, &bits, 2);
    return (float)value;
}

static uint16_t to_half(float value) {
    const _Float16 half = (_Float16)value;
    uint16_t bits;
    memcpy(&bits, &half, 2);
    return bits;
}

static float low(uint32_t pair) { return to_float(pair & 0xffff); }
static float high(uint32_t pair) { return to_float(pair >> 16); }
static uint32_t pack(float first, float second) { return to_half(first) | (uint32_t)to_half(second) << 16; }
static float __int_as_float(int bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
#define __expf expf
static float rsqrtf(float value) { return 1 / sqrtf(value); }
static int min(int a, int b) { return a < b ? a : b; }
static void __syncthreads() { machine.wait(machine.all, machine.dimension.x); }

static float __shfl_xor_sync(unsigned, float value, int mask) {
    Brought *lanes = machine.lanes();
    const unsigned lane = machine.current->index.x % LANES_OF_A_WARP;
    lanes[lane].value = value;
    machine.wait_for_warp();
    const float found = lanes[lane ^ (unsigned)mask].value;
    machine.wait_for_warp();
    return found;
}

static void multiply(float *sums, const uint32_t *a, uint32_t b0, uint32_t b1) {
    Brought *lanes = machine.lanes();
    const unsigned lane = machine.current->index.x % LANES_OF_A_WARP;
    memcpy(lanes[lane].a, a, sizeof lanes[lane].a);
    lanes[lane].b[0] = b0, lanes[lane].b[1] = b1;
    machine.wait_for_warp();
    const auto half_of = [](uint32_t pair, unsigned which) { return which ? high(pair) : low(pair); };
    // a: registers 0 and 2 hold row lane / 4, 1 and 3 row lane / 4 + 8; 2 and 3 hold columns from 8 on.
    const auto of_a = [&](unsigned row, unsigned k) {
        const unsigned register_ = row / 8 + k / 8 * 2;
        return half_of(lanes[row % 8 * 4 + k % 8 / 2].a[register_], k % 2);
    };
    // b: column lane / 4; register 1 holds rows from 8 on.
    const auto of_b = [&](unsigned k, unsigned column) {
        return half_of(lanes[column * 4 + k % 8 / 2].b[k / 8], k % 2);
    };
    for (unsigned i = 0; i < 4; i++) {
        const unsigned row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
        for (unsigned k = 0; k < 16; k++) sums[i] += of_a(row, k) * of_b(k, column);
    }
    machine.wait_for_warp();
}

static void load_rows(const uint16_t *row, uint32_t *b) {
    Brought *lanes = machine.lanes();
    const unsigned lane = machine.current->index.x % LANES_OF_A_WARP;
    lanes[lane].row = row;
    machine.wait_for_warp();
    // Transposed: register i holds of matrix i (rows 8 i to 8 i + 7) the rows lane % 4 * 2 and the next, column lane / 4.
    for (unsigned i = 0; i < 2; i++) {
        const unsigned first = i * 8 + lane % 4 * 2;
        b[i] = lanes[first].row[lane / 4] | (uint32_t)lanes[first + 1].row[lane / 4] << 16;
    }
    machine.wait_for_warp();
}

#include SOURCE

static std::mt19937 randomness(7);
static int failures = 0;

static std::vector<float> draw(size_t count, float spread) {
    std::uniform_real_distribution<float> each(-spread, spread);
    std::vector<float> values(count);
    for (float &value : values) value = each(randomness);
    return values;
}

[[maybe_unused]] static std::vector<uint16_t> halves(const std::vector<float> &values) {
    std::vector<uint16_t> halves;
    for (float value : values) halves.push_back(to_half(value));
    return halves;
}

// Output that nobody has written is no number.
static void check(const char *name, const std::vector<float> &found, const std::vector<double> &expected, double most) {
    double worst = 0;
    for (size_t i = 0; i < expected.size(); i++) {
        const double off = std::fabs(found[i] - expected[i]) / (1 + std::fabs(expected[i]));
        if (std::isnan(off) || off > worst) worst = off;
        if (std::isnan(worst)) break;
    }
    const bool good = found.size() == expected.size() && worst <= most;
    printf("%s: off by %.2g at most, of %zu numbers\n", name, worst, found.size());
    failures += !good;
}

#ifndef CONVOLUTION

static std::vector<float> floats(const std::vector<uint16_t> &halves) {
    std::vector<float> values;
    for (uint16_t half : halves) values.push_back(to_float(half));
    return values;
}

static const uint16_t NOT_WRITTEN = 0x7e00;

static void check_attention(int n, int rows, int heads, int causal) {
    const size_t width = heads * HEAD;
    const auto joint = halves(draw(n * rows * 3 * width, 2)), bias = halves(draw(3 * width, 1));
    std::vector<uint16_t> output(n * rows * width, NOT_WRITTEN);
    const float scale = 1.4426950408889634 / std::sqrt((double)HEAD);
    launch({(unsigned)(rows + 63) / 64, (unsigned)heads, (unsigned)n}, 128,
           [&] { attention(joint.data(), bias.data(), output.data(), rows, heads, causal, scale); });
    std::vector<double> expected;
    for (int picture = 0; picture < n; picture++)
        for (int row = 0; row < rows; row++)
            for (int head = 0; head < heads; head++) {
                const auto at = [&](int of, int part, int i) -> double {
                    const size_t column = part * width + head * HEAD + i;
                    return to_float(joint[(picture * rows + of) * 3 * width + column]) + (double)to_float(bias[column]);
                };
                std::vector<double> shares(rows, 0.0);
                double total = 0, most = -1e300;
                for (int pass = 0; pass < 2; pass++)
                    for (int other = 0; other < (causal ? row + 1 : rows); other++) {
                        double score = 0;
                        for (int i = 0; i < HEAD; i++) score += at(row, 0, i) * at(other, 1, i);
                        score /= std::sqrt((double)HEAD);
                        if (pass == 0) most = std::max(most, score);
                        else total += shares[other] = std::exp(score - most);
                    }
                for (int i = 0; i < HEAD; i++) {
                    double mixed = 0;
                    for (int other = 0; other < rows; other++) mixed += shares[other] / total * at(other, 2, i);
                    expected.push_back(mixed);
                }
            }
    check(causal ? "attention, causal" : "attention", floats(output), expected, 4e-3);
}

static void check_join(int rows) {
    const auto x = halves(draw(rows * WIDTH, 3)), y = halves(draw(rows * WIDTH, 1));
    const auto bias = halves(draw(WIDTH, 1)), gain = halves(draw(WIDTH, 2)), shift = halves(draw(WIDTH, 1));
    std::vector<uint16_t> output(2 * rows * WIDTH, NOT_WRITTEN);
    launch({(unsigned)(rows + 3) / 4, 1, 1}, 128, [&] {
        join(x.data(), y.data(), bias.data(), gain.data(), shift.data(), output.data(), rows, 1e-5f);
    });
    std::vector<double> sums, normed;
    for (int row = 0; row < rows; row++) {
        double mean = 0, squares = 0;
        std::vector<double> own;
        for (int i = 0; i < WIDTH; i++) {
            own.push_back((double)to_float(x[row * WIDTH + i]) + to_float(y[row * WIDTH + i]) + to_float(bias[i]));
            mean += own.back() / WIDTH;
        }
        for (double value : own) squares += (value - mean) * (value - mean) / WIDTH;
        for (int i = 0; i < WIDTH; i++)
            normed.push_back((own[i] - mean) / std::sqrt(squares + 1e-5) * to_float(gain[i]) + to_float(shift[i]));
        sums.insert(sums.end(), own.begin(), own.end());
    }
    sums.insert(sums.end(), normed.begin(), normed.end());
    check("join", floats(output), sums, 1e-3);
}

static void check_activate(int rows, int width) {
    const auto x = halves(draw(rows * width, 5)), bias = halves(draw(width, 1));
    for (int kind = 0; kind <= 4; kind++) {
        std::vector<uint16_t> output(rows * width, NOT_WRITTEN);
        const int count = rows * width / 8;
        launch({(unsigned)(count + 255) / 256, 1, 1}, 256,
               [&] { activate(x.data(), bias.data(), output.data(), count, width / 8, kind); });
        std::vector<double> expected;
        for (int i = 0; i < rows * width; i++) {
            const double v = (double)to_float(x[i]) + to_float(bias[i % width]);
            const double tanh_share = 0.5 * (1 + std::tanh(std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
            const double of_kind[] = {v, v / (1 + std::exp(-1.702 * v)), v * 0.5 * (1 + std::erf(v / std::sqrt(2.0))),
                                      v * tanh_share, std::min(std::max(v, 0.0), 6.0)};
            expected.push_back(of_kind[kind]);
        }
        check("activate", floats(output), expected, 1e-3);
    }
}

static void check_patches(int n, int side, int patch) {
    const int across = side / patch;
    const auto pixels = halves(draw(n * 3 * side * side, 2));
    std::vector<uint16_t> output(n * across * across * 3 * patch * patch, NOT_WRITTEN);
    const long long count = output.size() / 2;
    launch({(unsigned)((count + 255) / 256), 1, 1}, 256,
           [&] { patches(pixels.data(), (uint32_t *)output.data(), count, side, across, patch); });
    std::vector<double> expected;
    for (int picture = 0; picture < n; picture++)
        for (int place = 0; place < across * across; place++)
            for (int channel = 0; channel < 3; channel++)
                for (int y = 0; y < patch; y++)
                    for (int x = 0; x < patch; x++) {
                        const int row = place / across * patch + y, column = place % across * patch + x;
                        expected.push_back(to_float(pixels[((picture * 3 + channel) * side + row) * side + column]));
                    }
    check("patches", floats(output), expected, 0);
}

int main() {
    // Less than a tile of rows, one, one more, and several; warps without a row of their own.
    for (int rows : {1, 17, 50, 64, 65, 130})
        for (int causal : {0, 1}) check_attention(rows < 64 ? 2 : 1, rows, 2, causal);
    check_join(9);
    check_activate(7, 48);
    check_patches(2, 28, 14);
    check_patches(1, 37, 8);
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

#else

static double clipped(double value) { return std::min(std::max(value, 0.0), 6.0); }

static void check_depthwise(int n, int height, int width, int channels, int side, int stride, int top, int left) {
    const int rows = (height + stride - 1) / stride, columns = (width + stride - 1) / stride;
    const auto input = draw(n * height * width * channels, 4), before = draw(channels, 1);
    const auto weights = draw(side * side * channels, 1), bias = draw(channels, 1);
    std::vector<float> output(n * rows * columns * channels, NAN);
    launch({(unsigned)(output.size() + 255) / 256, 1, 1}, 256, [&] {
        depthwise(input.data(), before.data(), weights.data(), bias.data(), output.data(), output.size(), height, width,
                  channels, rows, columns, side, stride, top, left);
    });
    std::vector<double> expected;
    for (int picture = 0; picture < n; picture++)
        for (int row = 0; row < rows; row++)
            for (int column = 0; column < columns; column++)
                for (int channel = 0; channel < channels; channel++) {
                    double sum = bias[channel];
                    for (int i = 0; i < side * side; i++) {
                        const int y = row * stride + i / side - top, x = column * stride + i % side - left;
                        if (y < 0 || y >= height || x < 0 || x >= width) continue;
                        const float value = input[((picture * height + y) * width + x) * channels + channel];
                        sum += clipped(value + before[channel]) * weights[i * channels + channel];
                    }
                    expected.push_back(clipped(sum));
                }
    check("depthwise", output, expected, 1e-5);
}

static void check_finish(bool with_residual, bool clamp) {
    const int channels = 24, count = 31 * channels;
    const auto x = draw(count, 4), bias = draw(channels, 1), residual = draw(count, 4);
    std::vector<float> output(count, NAN);
    launch({(unsigned)(count + 255) / 256, 1, 1}, 256, [&] {
        finish(x.data(), bias.data(), with_residual ? residual.data() : nullptr, output.data(), count, channels, clamp);
    });
    std::vector<double> expected;
    for (int i = 0; i < count; i++) {
        const double sum = (double)x[i] + bias[i % channels] + (with_residual ? residual[i] : 0);
        expected.push_back(clamp ? clipped(sum) : sum);
    }
    check("finish", output, expected, 1e-6);
}

int main() {
    for (int side : {3, 5})
        for (int stride : {1, 2})
            for (int above : {0, 1}) check_depthwise(2, 9, 6, 32, side, stride, above, side / 2 - above);
    for (bool residual : {false, true})
        for (bool clamp : {false, true}) check_finish(residual, clamp);
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
