//! The scrub: damage is found while nobody reads, at no more than its rate, and it goes on where it was.

use std::time::{Duration, Instant};

use cask::types::ScrubRate;
use cask::volume::Scrubbed;

use super::home::{Home, SECOND_BYTES, content, overwrite, place_of};

const WAIT_MAX: Duration = Duration::from_secs(20);

fn rate(text: &str) -> ScrubRate {
    text.parse().unwrap()
}

/// Waits until what the scrub noted is so.
#[track_caller]
fn wait_until(home: &Home, what: &str, is_so: impl Fn(&Scrubbed) -> bool) -> Scrubbed {
    let since = Instant::now();
    loop {
        let done = Scrubbed::load(&home.dir()).unwrap();
        if is_so(&done) {
            return done;
        }
        assert!(since.elapsed() < WAIT_MAX, "{what}: {done:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn damage_is_found_and_forgotten_when_it_is_gone() {
    let home = Home::new();
    let volume = home.open();
    volume.set_scrub_rate(rate("1G")).unwrap();
    let whole = wait_until(&home, "a round", |done| done.rounds > 0);
    assert_eq!(whole.damage(), Vec::<String>::new());
    let segment = home.segment(1);
    let at = place_of(&segment, &content(2, SECOND_BYTES)) + 5_000;
    overwrite(&segment, b"damage", at);
    let found = wait_until(&home, "damage", |done| !done.damage().is_empty());
    assert_eq!(
        found.damage(),
        ["data: dir/second: bytes 0-131071 cannot be read (now, @kept)"]
    );
    overwrite(&segment, &content(2, SECOND_BYTES)[5_000..5_006], at);
    wait_until(&home, "no damage", |done| done.damage().is_empty());
    volume.close().unwrap();
}

#[test]
fn a_scrub_keeps_its_rate_and_goes_on_where_it_was() {
    let home = Home::new();
    let bytes = |done: &Scrubbed| (done.rounds, done.bytes);
    let mut last = 0;
    for _ in 0..3 {
        let volume = home.open();
        volume.set_scrub_rate(rate("100K")).unwrap();
        let began = Instant::now();
        // It begins after a second.
        std::thread::sleep(Duration::from_millis(1_600));
        volume.close().unwrap();
        let (rounds, now) = bytes(&Scrubbed::load(&home.dir()).unwrap());
        let allowed =
            u64::try_from(began.elapsed().as_millis()).unwrap() * 100 * 1024 / 1000 + 128 * 1024;
        assert!(
            rounds == 0 && now > last,
            "{rounds} rounds, {last} and then {now}"
        );
        assert!(
            now - last <= allowed,
            "{} in {:?}",
            now - last,
            began.elapsed()
        );
        last = now;
    }
}

#[test]
fn nothing_is_read_again_by_default() {
    let home = Home::new();
    let volume = home.open();
    std::thread::sleep(Duration::from_millis(1_300));
    volume.close().unwrap();
    assert!(!home.dir().join("scrub").exists());
}
