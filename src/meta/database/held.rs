//! Which reads each thread has under way, for the check of invariant 5 (docs/architecture.md). Debug builds only.

#[cfg(debug_assertions)]
thread_local! {
    /// The databases that this thread reads, by their addresses.
    static READ: std::cell::RefCell<Vec<usize>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// A read of this thread that somebody may wait for, until this is dropped. Not to be sent to another thread.
#[derive(Debug)]
pub(super) struct Held {
    #[cfg(debug_assertions)]
    database: usize,
    _of_this_thread: std::marker::PhantomData<*const ()>,
}

#[cfg_attr(
    not(debug_assertions),
    expect(unused_variables, reason = "nothing is noted in a release build")
)]
impl Held {
    /// Notes a read of the database at this address.
    pub(super) fn note<T>(database: &T) -> Self {
        #[cfg(debug_assertions)]
        READ.with_borrow_mut(|read| read.push(address(database)));
        Self {
            #[cfg(debug_assertions)]
            database: address(database),
            _of_this_thread: std::marker::PhantomData,
        }
    }
}

#[cfg(debug_assertions)]
fn address<T>(of: &T) -> usize {
    std::ptr::from_ref(of).addr()
}

/// To be called before the writer's lock is taken: this thread reads nothing of the database that somebody may wait for.
#[cfg_attr(
    not(debug_assertions),
    expect(unused_variables, reason = "nothing is noted in a release build")
)]
pub(super) fn check_none<T>(database: &T) {
    #[cfg(debug_assertions)]
    READ.with_borrow(|read| {
        assert!(
            !read.contains(&address(database)),
            "a thread that reads takes no writer (invariant 5)"
        );
    });
}

#[cfg(debug_assertions)]
impl Drop for Held {
    fn drop(&mut self) {
        READ.with_borrow_mut(|read| {
            let at = read.iter().position(|one| *one == self.database);
            at.map(|at| read.swap_remove(at))
        });
    }
}
