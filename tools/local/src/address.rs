//! Where the host of a data folder answers, told in the folder to other processes.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

const FILE: &str = "host.address";

#[derive(Debug, Serialize, Deserialize)]
struct Told {
    process: u32,
    address: SocketAddr,
}

/// Tells where this process answers. Only who holds the folder's lock may.
pub(crate) fn tell(folder: &Path, address: SocketAddr) -> io::Result<()> {
    let told = Told {
        process: std::process::id(),
        address,
    };
    let unfinished = folder.join("host.address.new");
    fs::write(&unfinished, serde_json::to_vec(&told)?)?;
    fs::rename(unfinished, folder.join(FILE))
}

/// Takes back what a process before this one has told.
pub(crate) fn withdraw(folder: &Path) {
    // Where it cannot be removed it cannot be written either, which `tell` says.
    let _ = fs::remove_file(folder.join(FILE));
}

/// Where the process that holds the folder answers. `None` if it has not told: it is not there yet, or
/// serves no API. What a process before it has left behind is not believed, since its port may be
/// somebody else's by now.
pub(crate) fn of_holder(folder: &Path) -> Option<SocketAddr> {
    let told: Told = serde_json::from_slice(&fs::read(folder.join(FILE)).ok()?).ok()?;
    let is_of_holder = embedded::folder::holder(folder) == Some(told.process);
    (is_of_holder && told.address.ip().is_loopback()).then_some(told.address)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn only_who_holds_the_folder_is_believed() {
        let folder = tempfile::tempdir().expect("a folder");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 8700));
        let hold = |process: u32| {
            let lock = folder.path().join("host.lock");
            fs::write(lock, process.to_string()).expect("is written");
        };
        assert_eq!(of_holder(folder.path()), None);
        tell(folder.path(), address).expect("is written");
        assert_eq!(of_holder(folder.path()), None);
        hold(std::process::id());
        assert_eq!(of_holder(folder.path()), Some(address));
        hold(std::process::id() + 1);
        assert_eq!(of_holder(folder.path()), None);
        hold(std::process::id());
        withdraw(folder.path());
        assert_eq!(of_holder(folder.path()), None);
    }

    #[test]
    fn an_address_elsewhere_is_not_believed() {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = folder.path().join("host.lock");
        fs::write(lock, std::process::id().to_string()).expect("is written");
        let elsewhere = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 8700));
        tell(folder.path(), elsewhere).expect("is written");
        assert_eq!(of_holder(folder.path()), None);
    }
}
