// What sanitizers must be told, because they see neither the sections' assembly nor whose a free block is.

#ifndef KA_SANITIZER_H
#define KA_SANITIZER_H

#include "ka_types.h"

// ThreadSanitizer does not see what the sections touch: a push publishes the object, a pop takes it over.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KA_TSAN 1
void __tsan_acquire(void *_Nonnull);
void __tsan_release(void *_Nonnull);
#endif
#endif
#if defined(KA_TSAN)
#define KA_TAKEN_OVER(object) __tsan_acquire((void *)(object))
#define KA_PUBLISHED(object) __tsan_release((void *)(object))
#else
#define KA_TAKEN_OVER(object) (void)0
#define KA_PUBLISHED(object) (void)0
#endif

#endif
