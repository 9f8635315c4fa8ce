//! The allow path allocates nothing (law 7).
#![allow(missing_docs, unsafe_code, clippy::unwrap_used)]
mod support;

use creel_policy::{Connect, Request, canonical};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed to the system's allocator as it came; counting touches a plain cell that is
// initialised in place, so that it does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and `at` came from `System`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = COUNT.with(Cell::get);
    work();
    COUNT.with(Cell::get) - before
}

#[test]
fn a_decision_that_allows_allocates_nothing() {
    let policy = support::rules(
        "- { name: a, to: [\"*.a.com\", b.com], from: [\"tree:/usr/bin/git\"], addresses: [10.0.0.0/8] }
- { name: h, to: [b.com], http: { allow: [\"GET /x/**\"], deny: [\"* /x/y/z\"] } }
- { name: n, to: [\"9.0.0.0/8:*\"], raw: true }",
    );
    let caller = support::caller(&["/bin/sh", "/usr/bin/git"]);
    let path = canonical::path("/x/1/2").unwrap();
    for host in ["x.a.com", "b.com", "9.1.2.3"] {
        let host = canonical::host(host).unwrap();
        let connect = Connect { host: &host, port: 443, caller: &caller };
        let request = Request { connect, method: "GET", path: &path };
        let count = allocations(|| {
            let admission = policy.connect(&connect).unwrap();
            drop(policy.permit(&admission, [9, 1, 2, 3].into()));
            policy.request(&request).unwrap();
        });

        assert!(count == 0, "{host}: {count} allocations");
    }
    assert!(allocations(|| drop(vec![1])) > 0, "the counter counts");
}
