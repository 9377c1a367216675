// What candle's operations on an NVIDIA GPU leave to be done in one pass over memory. Compiled when a model is loaded,
// for its shapes, by the runtime compiler of CUDA, which knows no header files: numbers of 16 bits are integers here,
// and instructions turn them into f32 and back. Needs compute capability 8.0.
//
// HEAD: numbers of an attention head, a multiple of 8, at most 128. WIDTH: numbers of a row of the tower, a multiple of 8.

typedef unsigned short f16;
typedef unsigned int u32;

#define PADDED ((HEAD + 15) / 16 * 16)
// Rows of shared memory start 16 bytes apart in the banks, so that the eight rows of a fragment meet in none.
#define PITCH (PADDED + 8)
#define TILE 64
#define LANES 32
#define CHUNKS ((WIDTH / 8 + LANES - 1) / LANES)

// Instructions. tests/cuda_kernels runs the rest without a GPU and has these in plain C++.
#ifndef EMULATED
__device__ __forceinline__ float low(u32 pair) {
    float value;
    asm("{.reg .b16 a, b; mov.b32 {a, b}, %1; cvt.f32.f16 %0, a;}" : "=f"(value) : "r"(pair));
    return value;
}

__device__ __forceinline__ float high(u32 pair) {
    float value;
    asm("{.reg .b16 a, b; mov.b32 {a, b}, %1; cvt.f32.f16 %0, b;}" : "=f"(value) : "r"(pair));
    return value;
}

__device__ __forceinline__ u32 pack(float first, float second) {
    u32 pair;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
    return pair;
}

// sums [16, 8] += a [16, 16] b [16, 8], each a fragment of a warp: lane / 4 is the row of `a` and `sums` and the
// column of `b`, lane % 4 the pair of numbers across.
__device__ __forceinline__ void multiply(float *sums, const u32 *a, u32 b0, u32 b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// A `b` of `multiply` from 16 rows of 8 numbers in shared memory; lane i names row i, those from 16 on are not read.
__device__ __forceinline__ void load_rows(const f16 *row, u32 *b) {
    const u32 from = (u32)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(b[0]), "=r"(b[1])
                 : "r"(from)
                 : "memory");
}
#endif

__device__ __forceinline__ void unpack(uint4 from, float *to) {
    to[0] = low(from.x), to[1] = high(from.x), to[2] = low(from.y), to[3] = high(from.y);
    to[4] = low(from.z), to[5] = high(from.z), to[6] = low(from.w), to[7] = high(from.w);
}

__device__ __forceinline__ uint4 packed(const float *from) {
    return make_uint4(pack(from[0], from[1]), pack(from[2], from[3]), pack(from[4], from[5]), pack(from[6], from[7]));
}

// Attention from one product for queries, keys and values, without its bias: joint [n, rows, 3, heads, HEAD], bias
// [3, heads, HEAD], output [n, rows, heads * HEAD]. The softmax goes along with the keys, TILE at a time.
//
// A bias of the keys moves all scores of a query alike and changes nothing; that of the values comes out as it is.
// Grid: TILE queries, heads, n. Four warps, of 16 queries each. `scale` is that of the scores, times log2(e).
extern "C" __global__ void __launch_bounds__(128)
    attention(const f16 *joint, const f16 *bias, f16 *output, int rows, int heads, int causal, float scale) {
    __shared__ __align__(16) f16 keys[TILE][PITCH];
    __shared__ __align__(16) f16 values[TILE][PITCH];
    const int lane = threadIdx.x % LANES, group = lane / 4, pair = lane % 4 * 2;
    const int first = blockIdx.x * TILE + threadIdx.x / LANES * 16;
    const long long stride = 3LL * heads * HEAD;
    const f16 *own = joint + (long long)blockIdx.z * rows * stride + blockIdx.y * HEAD;
    bias += blockIdx.y * HEAD;

    u32 query[PADDED / 16][4];
    for (int k = 0; k < PADDED / 16; k++) {
        for (int part = 0; part < 4; part++) {
            const int row = first + group + part % 2 * 8, column = k * 16 + pair + part / 2 * 8;
            u32 found = 0;
            if (row < rows && column < HEAD) {
                const u32 raw = *(const u32 *)(own + row * stride + column), add = *(const u32 *)(bias + column);
                found = pack(low(raw) + low(add), high(raw) + high(add));
            }
            query[k][part] = found;
        }
    }

    float mixed[PADDED / 8][4] = {}, sum[2] = {}, top[2] = {-__int_as_float(0x7f800000), -__int_as_float(0x7f800000)};
    const int end = causal ? min(rows, (int)(blockIdx.x + 1) * TILE) : rows;
    for (int at = 0; at < end; at += TILE) {
        __syncthreads();
        for (int i = threadIdx.x; i < TILE * (PADDED / 8); i += blockDim.x) {
            const int row = i / (PADDED / 8), column = i % (PADDED / 8) * 8;
            uint4 key = make_uint4(0, 0, 0, 0), value = key;
            if (at + row < rows && column < HEAD) {
                const f16 *from = own + (at + row) * stride + column;
                key = *(const uint4 *)(from + heads * HEAD);
                value = *(const uint4 *)(from + 2 * heads * HEAD);
            }
            *(uint4 *)&keys[row][column] = key;
            *(uint4 *)&values[row][column] = value;
        }
        __syncthreads();
        if (first >= rows) continue;

        float scores[TILE / 8][4] = {};
        for (int tile = 0; tile < TILE / 8; tile++) {
            for (int k = 0; k < PADDED / 16; k++) {
                const f16 *key = &keys[tile * 8 + group][k * 16 + pair];
                multiply(scores[tile], query[k], *(const u32 *)key, *(const u32 *)(key + 8));
            }
        }
        for (int half = 0; half < 2; half++) {
            const int row = first + group + half * 8;
            float most = top[half];
            for (int tile = 0; tile < TILE / 8; tile++) {
                for (int i = 0; i < 2; i++) {
                    const int column = at + tile * 8 + pair + i;
                    float *score = &scores[tile][half * 2 + i];
                    *score = column < rows && (!causal || column <= row) ? *score * scale : -__int_as_float(0x7f800000);
                    most = fmaxf(most, *score);
                }
            }
            most = fmaxf(most, __shfl_xor_sync(0xffffffff, most, 1));
            most = fmaxf(most, __shfl_xor_sync(0xffffffff, most, 2));
            // The first key is seen by every query, so `most` is a number from the first tile on.
            const float shrink = exp2f(top[half] - most);
            top[half] = most;
            sum[half] *= shrink;
            for (int tile = 0; tile < PADDED / 8; tile++) {
                mixed[tile][half * 2] *= shrink, mixed[tile][half * 2 + 1] *= shrink;
            }
            for (int tile = 0; tile < TILE / 8; tile++) {
                for (int i = 0; i < 2; i++) {
                    float *score = &scores[tile][half * 2 + i];
                    *score = exp2f(*score - most);
                    sum[half] += *score;
                }
            }
        }
        for (int k = 0; k < TILE / 16; k++) {
            // What a product put out is laid out as what the next one takes in.
            const u32 share[4] = {
                pack(scores[2 * k][0], scores[2 * k][1]),
                pack(scores[2 * k][2], scores[2 * k][3]),
                pack(scores[2 * k + 1][0], scores[2 * k + 1][1]),
                pack(scores[2 * k + 1][2], scores[2 * k + 1][3]),
            };
            for (int tile = 0; tile < PADDED / 8; tile++) {
                u32 value[2];
                load_rows(&values[k * 16 + lane % 16][tile * 8], value);
                multiply(mixed[tile], share, value[0], value[1]);
            }
        }
    }
    if (first >= rows) return;
    const f16 *shift = bias + 2 * heads * HEAD;
    for (int half = 0; half < 2; half++) {
        float total = sum[half];
        total += __shfl_xor_sync(0xffffffff, total, 1);
        total += __shfl_xor_sync(0xffffffff, total, 2);
        const int row = first + group + half * 8;
        if (row >= rows) continue;
        f16 *to = output + ((long long)blockIdx.z * rows + row) * heads * HEAD + blockIdx.y * HEAD;
        for (int tile = 0; tile < PADDED / 8; tile++) {
            const int column = tile * 8 + pair;
            if (column >= HEAD) continue;
            const u32 add = *(const u32 *)(shift + column);
            *(u32 *)(to + column) =
                pack(mixed[tile][half * 2] / total + low(add), mixed[tile][half * 2 + 1] / total + high(add));
        }
    }
}

// x + y + bias, and that normalised: output [2, rows, WIDTH]. A warp takes a row; its numbers stay in registers.
extern "C" __global__ void __launch_bounds__(128)
    join(const f16 *x, const f16 *y, const f16 *bias, const f16 *gain, const f16 *shift, f16 *output, int rows,
         float epsilon) {
    const int row = blockIdx.x * (blockDim.x / LANES) + threadIdx.x / LANES, lane = threadIdx.x % LANES;
    if (row >= rows) return;
    const long long start = (long long)row * WIDTH;
    float found[CHUNKS][8], sum = 0;
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        const int column = (chunk * LANES + lane) * 8;
        if (column >= WIDTH) continue;
        float other[8], add[8];
        unpack(*(const uint4 *)(x + start + column), found[chunk]);
        unpack(*(const uint4 *)(y + start + column), other);
        unpack(*(const uint4 *)(bias + column), add);
        for (int i = 0; i < 8; i++) {
            found[chunk][i] += other[i] + add[i];
            sum += found[chunk][i];
        }
        *(uint4 *)(output + start + column) = packed(found[chunk]);
    }
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffff, sum, step);
    const float mean = sum / WIDTH;
    float squares = 0;
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        if ((chunk * LANES + lane) * 8 >= WIDTH) continue;
        for (int i = 0; i < 8; i++) squares += (found[chunk][i] - mean) * (found[chunk][i] - mean);
    }
    for (int step = 16; step > 0; step /= 2) squares += __shfl_xor_sync(0xffffffff, squares, step);
    const float scale = rsqrtf(squares / WIDTH + epsilon);
    output += (long long)rows * WIDTH;
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        const int column = (chunk * LANES + lane) * 8;
        if (column >= WIDTH) continue;
        float times[8], add[8];
        unpack(*(const uint4 *)(gain + column), times);
        unpack(*(const uint4 *)(shift + column), add);
        for (int i = 0; i < 8; i++) times[i] = (found[chunk][i] - mean) * scale * times[i] + add[i];
        *(uint4 *)(output + start + column) = packed(times);
    }
}

// The activation of x + bias; `count` vectors of 8 numbers, `width` of them a row. The kinds are those of `mod.rs`.
extern "C" __global__ void activate(const f16 *x, const f16 *bias, f16 *output, int count, int width, int kind) {
    const int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= count) return;
    float found[8], add[8];
    unpack(((const uint4 *)x)[at], found);
    unpack(((const uint4 *)bias)[at % width], add);
    for (int i = 0; i < 8; i++) {
        const float v = found[i] + add[i];
        float share = 1;
        if (kind == 1) share = 1 / (1 + __expf(-1.702f * v));
        if (kind == 2) share = 0.5f * (1 + erff(v * 0.70710678f));
        if (kind == 3) share = 1 / (1 + __expf(-1.5957691f * (v + 0.044715f * v * v * v)));
        found[i] = kind == 4 ? fminf(fmaxf(v, 0), 6) : v * share;
    }
    ((uint4 *)output)[at] = packed(found);
}

// The patches of pixels [n, 3, side, side]: output [n, across * across, 3, patch, patch], two numbers a thread; `patch`
// is even. `count` is that of all pairs.
extern "C" __global__ void patches(const f16 *pixels, u32 *output, long long count, int side, int across, int patch) {
    const long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= count) return;
    const int half = patch / 2, each = 3 * patch * half;
    const int inside = (int)(at % each), x = inside % half * 2, y = inside / half % patch, channel = inside / (half * patch);
    const long long which = at / each;
    const int place = (int)(which % (across * across));
    const long long picture = which / (across * across);
    const long long line = (picture * 3 + channel) * side + place / across * patch + y;
    const f16 *from = pixels + line * side + place % across * patch + x;
    output[at] = (u32)from[0] | (u32)from[1] << 16;
}
