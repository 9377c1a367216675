// What stands around the matrix products of EfficientNet, in f32, layout [n, h, w, c]. Compiled when a model is loaded.

__device__ __forceinline__ float relu6(float value) { return fminf(fmaxf(value, 0), 6); }

// Bias and ReLU6 of the product before, zeros around, the depthwise convolution, its own bias and ReLU6: an output a
// thread. kernel [side, side, channels]; `count` is that of all outputs.
extern "C" __global__ void depthwise(const float *input, const float *before, const float *kernel, const float *bias,
                                     float *output, long long count, int height, int width, int channels, int rows,
                                     int columns, int side, int stride, int top, int left) {
    const long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= count) return;
    const int channel = (int)(at % channels), column = (int)(at / channels % columns);
    const long long line = at / channels / columns;
    const int row = (int)(line % rows);
    const float *picture = input + line / rows * height * width * channels + channel;
    const float add = before[channel];
    float sum = bias[channel];
    for (int i = 0; i < side; i++) {
        const int y = row * stride + i - top;
        if (y < 0 || y >= height) continue;
        for (int j = 0; j < side; j++) {
            const int x = column * stride + j - left;
            if (x < 0 || x >= width) continue;
            sum += relu6(picture[((long long)y * width + x) * channels] + add) * kernel[(i * side + j) * channels + channel];
        }
    }
    output[at] = relu6(sum);
}

// x + bias, plus what `residual` points to unless it is nothing, and ReLU6 where `clamp` says so.
extern "C" __global__ void finish(const float *x, const float *bias, const float *residual, float *output,
                                  long long count, int channels, int clamp) {
    const long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= count) return;
    float value = x[at] + bias[at % channels];
    if (residual) value += residual[at];
    output[at] = clamp ? relu6(value) : value;
}
