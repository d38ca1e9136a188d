/* A quicker entropy decoder for baseline files; see huffman.c. */
struct athena_huffman;

/* Takes the place of libjpeg's, once decompression has started; NULL, and nothing changes, for files that it cannot serve. */
struct athena_huffman *athena_huffman_install(j_decompress_ptr cinfo);

/* The one that was installed: the shim keeps it. */
const struct athena_huffman *athena_huffman_of(j_decompress_ptr cinfo);
