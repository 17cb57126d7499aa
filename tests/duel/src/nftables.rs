//! nft without a process for every command: libnftables, loaded when it is needed.
//!
//! Texts go in and texts come out, as with the program `nft`. This file is the only one that calls
//! the library.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::io;
use std::ptr::NonNull;

use libloading::Library;

/// The name under which the library's ABI is installed (`LIBVERSION` of nftables 0.9.0 and later).
const SONAME: &str = "libnftables.so.1";

/// `NFT_CTX_OUTPUT_JSON` in `nftables/libnftables.h`.
const OUTPUT_JSON: c_uint = 1 << 4;

type Context = *mut c_void;

/// nft, in the network namespace of the thread that calls.
#[derive(Debug)]
pub struct Nftables {
    context: NonNull<c_void>,
    set_flags: unsafe extern "C" fn(Context, c_uint),
    run: unsafe extern "C" fn(Context, *const c_char) -> c_int,
    output: unsafe extern "C" fn(Context) -> *const c_char,
    error: unsafe extern "C" fn(Context) -> *const c_char,
    free: unsafe extern "C" fn(Context),
    /// Where the functions are; the last field, so that it is unloaded last.
    _library: Library,
}

impl Nftables {
    /// nft as it is installed.
    ///
    /// # Errors
    /// When it is not, naming the package that has it.
    pub fn load() -> io::Result<Self> {
        let missing = |error: libloading::Error| {
            io::Error::other(format!(
                "{SONAME} cannot be loaded ({error}); install the package libnftables1"
            ))
        };
        // SAFETY: initialisers of libnftables and of the libraries that it needs (gmp, jansson,
        // libmnl, libnftnl) do nothing but set up their own memory. Each symbol has the type that
        // `nftables/libnftables.h` gives it, unchanged since the SONAME became 1.
        #[expect(unsafe_code, reason = "a C library")]
        unsafe {
            let library = Library::new(SONAME).map_err(missing)?;
            let new = library.get::<unsafe extern "C" fn(c_uint) -> Context>(b"nft_ctx_new\0");
            let context = new.map_err(missing)?(0);
            let buffer =
                library.get::<unsafe extern "C" fn(Context) -> c_int>(b"nft_ctx_buffer_output\0");
            let buffered = buffer.map_err(missing)?(context);
            let buffer =
                library.get::<unsafe extern "C" fn(Context) -> c_int>(b"nft_ctx_buffer_error\0");
            let buffered = buffered | buffer.map_err(missing)?(context);
            let context = NonNull::new(context).filter(|_| buffered == 0);
            Ok(Self {
                context: context.ok_or_else(|| io::Error::other("nft_ctx_new: no memory"))?,
                set_flags: *library
                    .get(b"nft_ctx_output_set_flags\0")
                    .map_err(missing)?,
                run: *library.get(b"nft_run_cmd_from_buffer\0").map_err(missing)?,
                output: *library
                    .get(b"nft_ctx_get_output_buffer\0")
                    .map_err(missing)?,
                error: *library
                    .get(b"nft_ctx_get_error_buffer\0")
                    .map_err(missing)?,
                free: *library.get(b"nft_ctx_free\0").map_err(missing)?,
                _library: library,
            })
        }
    }

    /// Does what `commands` say, in nft's text syntax; what it prints.
    ///
    /// # Errors
    /// nft's complaint.
    pub fn text(&mut self, commands: &str) -> io::Result<String> {
        self.command(commands, 0)
    }

    /// The same, printing JSON.
    ///
    /// # Errors
    /// nft's complaint.
    pub fn json(&mut self, commands: &str) -> io::Result<String> {
        self.command(commands, OUTPUT_JSON)
    }

    fn command(&mut self, commands: &str, flags: c_uint) -> io::Result<String> {
        let commands = CString::new(commands).map_err(io::Error::other)?;
        let context = self.context.as_ptr();
        // SAFETY: the context is one that `nft_ctx_new` made and that only `drop` frees; `&mut self`
        // keeps others away from it. The commands end with a zero and outlive the call. Both
        // buffers were asked for, so the pointers are strings that live until the next command, and
        // they are copied before.
        #[expect(unsafe_code, reason = "a C library")]
        let (status, output, error) = unsafe {
            (self.set_flags)(context, flags);
            let status = (self.run)(context, commands.as_ptr());
            let text = |of: unsafe extern "C" fn(Context) -> *const c_char| {
                CStr::from_ptr(of(context)).to_string_lossy().into_owned()
            };
            (status, text(self.output), text(self.error))
        };
        if status == 0 {
            Ok(output)
        } else {
            Err(io::Error::other(format!("nft: {}", error.trim())))
        }
    }
}

impl Drop for Nftables {
    fn drop(&mut self) {
        // SAFETY: the context is one that `nft_ctx_new` made, it is freed once, and nobody has it
        // afterwards. The library is still loaded.
        #[expect(unsafe_code, reason = "a C library")]
        unsafe {
            (self.free)(self.context.as_ptr());
        }
    }
}
