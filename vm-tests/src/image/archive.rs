//! An initial file system as the kernel unpacks it: a cpio archive in the "newc" format.
//!
//! The same files give the same bytes, in order of their names, without times or owners. A device
//! node is a header like any other, so writing one takes no privilege.

use std::collections::BTreeMap;

/// A tree of files.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    nodes: BTreeMap<String, Node>,
}

#[derive(Clone, Debug)]
enum Node {
    Folder { mode: u32 },
    File { mode: u32, bytes: Vec<u8> },
    Link { to: String },
    Device { mode: u32, number: (u32, u32) },
}

const KIND_DEVICE: u32 = 0o020_000;
const KIND_FOLDER: u32 = 0o040_000;
const KIND_FILE: u32 = 0o100_000;
const KIND_LINK: u32 = 0o120_000;

impl Tree {
    /// Adds a folder.
    pub(super) fn folder(&mut self, path: &str, mode: u32) {
        self.put(path, Node::Folder { mode });
    }

    /// Adds a file, in place of one that is there already.
    pub(super) fn file(&mut self, path: &str, mode: u32, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        self.put(path, Node::File { mode, bytes });
    }

    /// Adds a symbolic link.
    pub(super) fn link(&mut self, path: &str, to: &str) {
        let to = to.to_owned();
        self.put(path, Node::Link { to });
    }

    /// Adds a character device.
    pub(super) fn device(&mut self, path: &str, mode: u32, number: (u32, u32)) {
        self.put(path, Node::Device { mode, number });
    }

    /// What is in a file, if there is one.
    pub(super) fn bytes(&self, path: &str) -> Option<&[u8]> {
        match self.nodes.get(path)? {
            Node::File { bytes, .. } => Some(bytes),
            Node::Folder { .. } | Node::Link { .. } | Node::Device { .. } => None,
        }
    }

    /// Where a link leads, if there is one.
    #[cfg(test)]
    pub(super) fn target(&self, path: &str) -> Option<&str> {
        match self.nodes.get(path)? {
            Node::Link { to } => Some(to),
            Node::Folder { .. } | Node::File { .. } | Node::Device { .. } => None,
        }
    }

    fn put(&mut self, path: &str, node: Node) {
        let path = path.trim_matches('/');
        for (end, _) in path.match_indices('/') {
            let parent = self.nodes.entry(path[..end].to_owned());
            parent.or_insert(Node::Folder { mode: 0o755 });
        }
        self.nodes.insert(path.to_owned(), node);
    }

    /// The archive. A folder's name sorts before those in it, so each is there when it is needed.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut archive = Vec::new();
        for (inode, (path, node)) in (1..).zip(&self.nodes) {
            let (mode, bytes, number): (u32, &[u8], _) = match node {
                Node::Folder { mode } => (KIND_FOLDER | mode, &[], (0, 0)),
                Node::File { mode, bytes } => (KIND_FILE | mode, bytes, (0, 0)),
                Node::Link { to } => (KIND_LINK | 0o777, to.as_bytes(), (0, 0)),
                Node::Device { mode, number } => (KIND_DEVICE | mode, &[], *number),
            };
            append(&mut archive, path, [inode, mode], bytes, number);
        }
        append(&mut archive, "TRAILER!!!", [0, 0], &[], (0, 0));
        archive
    }
}

fn append(
    archive: &mut Vec<u8>,
    path: &str,
    [inode, mode]: [u32; 2],
    bytes: &[u8],
    (major, minor): (u32, u32),
) {
    let [owner, group, time, checksum] = [0; 4];
    let links = 1;
    let on_device = (0, 0);
    let length = u32::try_from(bytes.len()).expect("a file of a guest is far below 4 GB");
    let name_length = path.len() as u32 + 1;
    archive.extend(b"070701");
    for field in [
        inode,
        mode,
        owner,
        group,
        links,
        time,
        length,
        on_device.0,
        on_device.1,
        major,
        minor,
        name_length,
        checksum,
    ] {
        archive.extend(format!("{field:08X}").as_bytes());
    }
    archive.extend(path.as_bytes());
    archive.push(0);
    align(archive);
    archive.extend(bytes);
    align(archive);
}

fn align(archive: &mut Vec<u8>) {
    archive.resize(archive.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tree_is_written_to_the_byte() {
        let mut tree = Tree::default();
        tree.link("/bin/sh", "busybox");
        tree.file("/a", 0o755, "hello");
        tree.device("/dev/null", 0o666, (1, 3));
        let header = |fields: &str| {
            let digits: String = fields
                .split(' ')
                .map(|field| format!("{field:0>8}"))
                .collect();
            format!("070701{digits}")
        };
        let expected = [
            // Inode, mode, owner, group, links, time, length, device (2), number (2), name, checksum.
            header("1 81ED 0 0 1 0 5 0 0 0 0 2 0") + "a\0hello\0\0\0",
            header("2 41ED 0 0 1 0 0 0 0 0 0 4 0") + "bin\0\0\0",
            header("3 A1FF 0 0 1 0 7 0 0 0 0 7 0") + "bin/sh\0\0\0\0busybox\0",
            header("4 41ED 0 0 1 0 0 0 0 0 0 4 0") + "dev\0\0\0",
            header("5 21B6 0 0 1 0 0 0 0 1 3 9 0") + "dev/null\0\0",
            header("0 0 0 0 1 0 0 0 0 0 0 B 0") + "TRAILER!!!\0\0\0\0",
        ];
        let written = String::from_utf8(tree.to_bytes()).unwrap();
        assert_eq!(written, expected.concat());
    }

    #[test]
    fn folder_keeps_its_mode_whatever_is_put_into_it() {
        let mut tree = Tree::default();
        tree.folder("tmp", 0o1777);
        tree.file("tmp/a", 0o644, "");
        assert!(matches!(tree.nodes["tmp"], Node::Folder { mode: 0o1777 }));
    }
}
