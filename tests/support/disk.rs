//! A disk that is soon full.

use nix::sched::{CloneFlags, unshare};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs `work` with a folder on a disk of so many KiB. The disk exists only for that thread and what it starts.
pub fn with_small_disk<T: Send>(kib: u32, work: impl FnOnce(&Path) -> T + Send) -> T {
    let inside = move || {
        unshare(CloneFlags::CLONE_NEWNS).expect("root may have mounts of its own");
        mount(&["--make-rprivate", "/"]);
        let folder = tempfile::Builder::new().prefix("overture-disk-").tempdir().expect("a folder");
        mount(&["-t", "tmpfs", "-o", &format!("size={kib}k,mode=0700"), "tmpfs", &folder.path().display().to_string()]);
        let _mounted = Mounted(folder.path().to_owned());
        work(folder.path())
    };
    match std::thread::scope(|scope| scope.spawn(inside).join()) {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn mount(arguments: &[&str]) {
    let done = Command::new("mount").args(arguments).output().expect("the programme `mount`");
    assert!(done.status.success(), "mount {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output(); // it goes with the thread in any case
    }
}

/// Takes all the space that is left, with a file of this path.
pub fn fill(path: &Path) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("a file");
    while file.write_all(&[0; 4096]).is_ok() {}
}

/// Gives the space back that was taken.
pub fn make_room(path: &Path) {
    File::create(path).expect("a file becomes empty");
}
