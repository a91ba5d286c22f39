// The common case by name, as in Linux: `K` for the global heap.

import KAlloc

/// A box in the global heap. One word wide.
public typealias KBox<Value: ~Copyable> = Box<Value, Kmalloc>

/// Memory for a value in the global heap. One word wide.
public typealias KUninitBox<Value: ~Copyable> = UninitBox<Value, Kmalloc>

/// A vector in the global heap. Three words wide.
public typealias KVec<Element: ~Copyable> = Vec<Element, Kmalloc>
