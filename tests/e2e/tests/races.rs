//! A program that swaps the directories above a granted path for links, as fast as it can, while policies are set.
//!
//! Nothing outside of a grant may ever be read or written. `CREEL_SWAPS` says for how many swaps policies are set, one for
//! five hundred; `./x races` asks for a million.
#![allow(clippy::unwrap_used)]

use creel_e2e::{Scene, wait_until};
use std::fs;
use std::process::Command;

/// Swaps without `CREEL_SWAPS`.
const USUAL: usize = 20_000;
/// A policy is set for this many swaps.
const SWAPS_PER_SET: usize = 500;

/// Swaps `a` and `a.link` in one thread, and uses what it finds below in the other.
const ATTACK: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static volatile long swaps;
static void *swap(void *unused) {
  for (;;) if (!renameat2(AT_FDCWD, "a", AT_FDCWD, "a.link", RENAME_EXCHANGE)) swaps++;
}
static void out(const char *what) { close(open(what, O_CREAT | O_WRONLY, 0600)); }
int main(void) {
  pthread_t thread;
  pthread_create(&thread, 0, swap, 0);
  for (long round = 0;; round++) {
    char text[8] = {0};
    int fd = open("a/b/key", O_RDONLY);
    if (fd >= 0) {
      if (read(fd, text, 6) == 6 && !strcmp(text, "SECRET")) out("OUT");
      close(fd);
    }
    // Its own files never appear where the link leads.
    char there[4096] = {0};
    if (readlink("a.link", there, sizeof there - 8) > 0 || readlink("a", there, sizeof there - 8) > 0) {
      strcat(there, "/b/key");
      if (!access(there, F_OK)) out("OUT");
    }
    fd = open("a/b/made", O_CREAT | O_WRONLY, 0600);
    if (fd >= 0) close(fd);
    if (round % 1000 == 0) {
      FILE *count = fopen("count.new", "w");
      if (count) { fprintf(count, "%ld", swaps); fclose(count); rename("count.new", "count"); }
    }
  }
}
"#;

#[test]
fn swapping_what_lies_above_a_grant_never_leads_out_of_it() {
    let most = std::env::var("CREEL_SWAPS").ok().map_or(USUAL, |text| text.parse().expect("CREEL_SWAPS"));
    let scene = Scene::new();
    let (ws, victim) = (scene.workspace(), scene.outside().join("victim"));
    for (dir, text) in [(victim.join("b"), "SECRET"), (ws.join("a/b"), "own")] {
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("key"), text).unwrap();
    }
    std::os::unix::fs::symlink(&victim, ws.join("a.link")).unwrap();
    let source = scene.outside().join("attack.c");
    fs::write(&source, ATTACK).unwrap();
    let built =
        Command::new("cc").args(["-O1", "-pthread", "-o"]).arg(ws.join("attack")).arg(&source).status();
    assert!(built.unwrap().success());
    let base = "filesystem:\n  workspace: { path: ., access: write }";
    let scene = scene.policy(base);
    let turns = ["  read: [./a/b]", "", "  write: [./a/b]", "", "  hide: [./a/b/key]", ""];
    let policies = turns.map(|turn| {
        let name = format!("{}.yaml", turn.trim().get(..4).unwrap_or("none"));
        scene.write_policy(&name, &format!("{base}\n{turn}")).display().to_string()
    });

    let _running = scene.start(&["./attack"]);
    wait_until("the attack to begin", || ws.join("count").exists());
    let swaps = || fs::read_to_string(ws.join("count")).ok().and_then(|n| n.parse().ok()).unwrap_or(0_usize);
    let (mut sets, mut granted, mut refused) = (0, 0, 0);
    // By the number of sets: while the path is granted nothing can be swapped.
    while sets < (most / SWAPS_PER_SET).max(turns.len()) {
        let turn = sets % turns.len();
        let shown = scene.verb(&["policy", "set", &scene.name, &policies[turn]]);
        match (shown.code, turns[turn]) {
            (0, "") => {}
            (0, _) => granted += 1,
            _ => refused += 1,
        }
        assert!(!shown.stderr.contains("victim/b is in use"), "the grant stood where a link led");
        assert!(
            !ws.join("OUT").exists(),
            "something stood or was read outside of the grant, after {} swaps",
            swaps()
        );
        assert!(!victim.join("b/made").exists(), "what is outside was written, after {} swaps", swaps());
        assert_eq!(fs::read_to_string(victim.join("b/key")).unwrap(), "SECRET");
        sets += 1;
    }
    println!("{} swaps, {sets} policies set: {granted} granted, {refused} refused, none led out", swaps());
    assert!(swaps() > 0, "nothing was swapped");
    assert!(granted > 0, "the path was granted at times: {refused} of {sets} refused");
}
