//! Memory that nobody uses any more goes back to the system.
//!
//! Allocators keep what is freed for the next who asks. After a model that is
//! wrong: the next large request may be days away, and other processes want it now.

#![allow(unsafe_code)] // Two calls of C libraries, each with its reasons.

/// Gives back the free pages of this program's allocator and, on glibc, of the
/// one that foreign libraries use. Takes up to milliseconds; from any thread.
pub fn give_back() {
    // SAFETY: it takes no pointer, keeps its own locks, and touches free pages alone.
    unsafe { libmimalloc_sys::mi_collect(true) };
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: likewise; it is declared MT-Safe by malloc_trim(3).
    unsafe {
        libc::malloc_trim(0);
    }
}
