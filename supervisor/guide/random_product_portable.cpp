// The kernels for any processor.
#define TUTTI_KERNELS(precision) portable_##precision
#define TUTTI_VECTOR_BYTES 16
#include "supervisor/guide/random_product_kernels.hpp"
