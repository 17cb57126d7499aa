//! Real kernels in virtual machines, and who reaches what there.
//!
//! The harness is everybody else: it holds the other end of each network card and of the control
//! channel, so that nothing here needs root, a bridge or a device of the machine that it runs on.

pub mod boot;
pub mod cold;
pub mod compare;
pub mod computer;
pub mod disk;
pub mod fetch;
pub mod file_system;
pub mod image;
pub mod kernels;
pub mod known;
pub mod matrix;
pub mod model;
pub mod namespaces;
pub mod network;
pub mod operator;
pub mod probe;
pub mod report;
pub mod run;
pub mod scenario;
pub mod subject;
pub mod tier;
pub mod vm;
