// The kernels for AVX2 and FMA.
#define TUTTI_KERNELS(precision) avx2_##precision
#define TUTTI_VECTOR_BYTES 32
#include "supervisor/guide/random_product_kernels.hpp"
