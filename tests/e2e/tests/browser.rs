//! Chromium without a screen, which has a sandbox of its own: what works inside and with which policy. It needs a
//! browser of 120 MB, so `./x browser` runs it and the usual run does not.

use creel_e2e::{Scene, Shown};

const PAGE: &str = "<!doctype html><p id=a></p>\
    <script>document.getElementById('a').textContent = 'made by ' + 6 * 7</script>";

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

/// What Chromium makes of the page, with these options.
fn dump(scene: &Scene, options: &str) -> Shown {
    std::fs::write(scene.workspace().join("page.html"), PAGE).expect("a page");
    scene.sh(&format!(
        "chromium --headless --disable-gpu --user-data-dir=$PWD/p {options} --dump-dom file://$PWD/page.html"
    ))
}

#[test]
#[ignore = "needs Chromium: ./x browser"]
fn a_page_is_shown_without_the_browsers_own_sandbox() {
    let shown = dump(&Scene::new(), "--no-sandbox").ok();
    assert!(shown.stdout.contains("made by 42"), "{shown:?}");
}

#[test]
#[ignore = "needs Chromium: ./x browser"]
fn the_browsers_own_sandbox_needs_the_policys_word() {
    let shown = dump(&Scene::new(), "");
    assert!(shown.code != 0 && !shown.stdout.contains("made by 42"), "{shown:?}");
}

#[test]
#[ignore = "needs Chromium: ./x browser"]
fn a_page_is_shown_within_the_browsers_own_sandbox() {
    let shown = dump(&Scene::new().policy("process: { nested: true }"), "");
    if is_root() {
        assert!(shown.code == 125 && shown.stderr.contains("ordinary user"), "{shown:?}");
    } else {
        assert!(shown.ok().stdout.contains("made by 42"));
    }
}
