// The kernels for AVX-512 (F, DQ, VL, BW).
#define TUTTI_KERNELS(precision) avx512_##precision
#define TUTTI_VECTOR_BYTES 64
#include "supervisor/guide/random_product_kernels.hpp"
