// The vocabulary of a request is defined where the core needs it, in `Slab`; `import KAlloc` alone makes it visible.

@_exported import enum Slab.AllocError
@_exported import struct Slab.AllocFlags
