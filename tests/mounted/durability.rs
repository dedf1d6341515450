//! `kill -9` of the volume's server amid eight writers: what was acknowledged is there afterwards.
//!
//! Each writer knows what its directory must hold. A metadata call that returned is acknowledged, and so
//! are the bytes of a file whose `close` or `fsync` returned. Other written bytes may be there or not;
//! bytes that nobody wrote may not.
//!
//! A `close` that returns after the kill promises nothing: Linux drops what it cannot send to a server that is
//! gone, and may report success (docs/decisions, 8).

mod model;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{Mount, Random, seed, short_or_long};
use crate::killing::kill_for_good;
use model::{Call, Model};

const WRITERS: usize = 8;
/// Directories of this many rounds are kept, and checked again in each round.
const ROUNDS_KEPT: usize = 4;

#[test]
fn what_was_acknowledged_survives_kill_9_of_the_server() {
    let Some(mount) = Mount::new() else { return };
    let mut random = Random::new(seed());
    let (rounds, mut calls) = (short_or_long(15, 200), 0);
    let mut kept: Vec<(String, Vec<Model>)> = Vec::new();
    for round in 0..rounds {
        let name = format!("round-{round}");
        let dir = mount.path().join(&name);
        std::fs::create_dir(&dir).unwrap();
        let pause = Duration::from_millis(100 + random.below(1400));
        let models = write_until_killed(&mount, &dir, &mut random, pause);
        mount.mount();
        calls += models.iter().map(|model| model.acknowledged).sum::<usize>();
        kept.push((name, models));
        for (name, models) in &mut kept {
            for (writer, model) in models.iter_mut().enumerate() {
                let context = format!("round {round}, {pause:?}: {name}, writer {writer}");
                model.check(
                    &mount.path().join(&*name).join(writer.to_string()),
                    &context,
                );
            }
        }
        if kept.len() > ROUNDS_KEPT {
            let (name, _) = kept.remove(0);
            std::fs::remove_dir_all(mount.path().join(name)).unwrap();
        }
    }
    eprintln!("kill -9: {rounds} rounds, {calls} acknowledged calls, nothing lost");
}

/// Lets the writers work for `pause`, kills the server, and returns what each of them was promised.
#[track_caller]
fn write_until_killed(
    mount: &Mount,
    dir: &Path,
    random: &mut Random,
    pause: Duration,
) -> Vec<Model> {
    let server = mount.server_pid();
    let seeds: Vec<_> = (0..WRITERS).map(|_| random.next()).collect();
    let dying = AtomicBool::new(false);
    let dying = &dying;
    std::thread::scope(|scope| {
        let start = |(writer, seed)| {
            let dir = dir.join(format!("{writer}"));
            scope.spawn(move || write_until_error(&dir, seed, dying))
        };
        let writers: Vec<_> = seeds.into_iter().enumerate().map(start).collect();
        std::thread::sleep(pause);
        dying.store(true, Ordering::SeqCst);
        kill_for_good(server);
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .collect()
    })
}

fn write_until_error(dir: &Path, seed: u64, dying: &AtomicBool) -> Model {
    let (mut random, mut model) = (Random::new(seed), Model::default());
    model.begin(Call::MakeRoot);
    let (mut result, start) = (std::fs::create_dir(dir), Instant::now());
    let mut open = None;
    while result.is_ok() {
        if dying.load(Ordering::SeqCst) {
            model.finish_late();
        } else {
            model.finish();
        }
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "the server does not die"
        );
        let call = Call::random(&mut random, &model, open.is_some());
        model.begin(call.clone());
        result = call.perform(dir, &mut open);
    }
    let error = result.unwrap_err();
    let expected = [libc::ENOTCONN, libc::ECONNABORTED, libc::EIO].map(Some);
    assert!(
        expected.contains(&error.raw_os_error()),
        "{error} at {:?}",
        model.in_flight()
    );
    model
}
