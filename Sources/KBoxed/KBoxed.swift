import KAlloc
