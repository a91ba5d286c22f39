// Boxes and collections speak in layouts, allocators and their errors: `import KBoxed` alone makes those visible.

@_exported import KAlloc
