//! Every kind of sink against a real receiver: files on a disk, sockets that stall, die and come
//! back. What was offered is written, lost for a reason, or waiting, to the unit, and no receiver
//! ever gets half a line.

#![cfg(feature = "live")]

mod files;
mod rig;
mod sockets;
