//! Element types of tensors.

use bytemuck::Pod;
use half::f16;
use std::{fmt, str::FromStr};

/// A truth value of one byte. `bool` itself must be 0 or 1, which shared memory cannot promise.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, bytemuck::Zeroable)]
pub struct Bool(pub u8);

impl Bool {
    /// Everything but zero is true.
    pub fn get(self) -> bool {
        self.0 != 0
    }
}

impl From<bool> for Bool {
    fn from(value: bool) -> Self {
        Self(value.into())
    }
}

/// A type that tensors can be made of.
pub trait Element: Pod + sealed::Sealed {
    /// Its tag.
    const DTYPE: Dtype;
    /// As a double, for display and conversion (64-bit integers round).
    fn to_f64(self) -> f64;
    /// From a double; integers saturate, NaN becomes zero, as `as` does.
    fn from_f64(value: f64) -> Self;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! dtypes {
    ($($variant:ident = $code:literal, $type:ty, $name:literal, $to:expr, $from:expr;)*) => {
        /// The element type of a tensor.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Dtype { $(
            #[doc = concat!("`", $name, "`")]
            $variant = $code,
        )* }

        impl Dtype {
            /// All of them.
            pub const ALL: &'static [Dtype] = &[$(Dtype::$variant),*];

            /// Bytes of one element.
            pub const fn size(self) -> usize {
                match self { $(Dtype::$variant => size_of::<$type>(),)* }
            }

            /// The name users write: `f32`, `u8`, `bool`.
            pub const fn name(self) -> &'static str {
                match self { $(Dtype::$variant => $name,)* }
            }

            /// The tag as stored in a header, if it is one.
            pub fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Dtype::$variant),)* _ => None }
            }

            /// One element at the start of `bytes` as a double, for display.
            pub fn read_f64(self, bytes: &[u8]) -> f64 {
                match self { $(
                    Dtype::$variant => bytemuck::pod_read_unaligned::<$type>(&bytes[..size_of::<$type>()]).to_f64(),
                )* }
            }

            /// Writes one element from a double at the start of `bytes`.
            pub fn write_f64(self, value: f64, bytes: &mut [u8]) {
                match self { $(
                    Dtype::$variant => bytes[..size_of::<$type>()]
                        .copy_from_slice(bytemuck::bytes_of(&<$type>::from_f64(value))),
                )* }
            }
        }

        $(
            impl sealed::Sealed for $type {}
            impl Element for $type {
                const DTYPE: Dtype = Dtype::$variant;
                #[inline]
                fn to_f64(self) -> f64 { ($to)(self) }
                #[inline]
                fn from_f64(value: f64) -> Self { ($from)(value) }
            }
        )*
    };
}

dtypes! {
    F16 = 1, f16, "f16", f16::to_f64, f16::from_f64;
    F32 = 2, f32, "f32", f64::from, |v| v as f32;
    F64 = 3, f64, "f64", |v| v, |v| v;
    I8 = 4, i8, "i8", f64::from, |v| v as i8;
    I16 = 5, i16, "i16", f64::from, |v| v as i16;
    I32 = 6, i32, "i32", f64::from, |v| v as i32;
    I64 = 7, i64, "i64", |v| v as f64, |v| v as i64;
    U8 = 8, u8, "u8", f64::from, |v| v as u8;
    U16 = 9, u16, "u16", f64::from, |v| v as u16;
    U32 = 10, u32, "u32", f64::from, |v| v as u32;
    U64 = 11, u64, "u64", |v| v as f64, |v| v as u64;
    Bool = 12, Bool, "bool", |v: Bool| f64::from(u8::from(v.get())), |v| Bool::from(v != 0.0);
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Dtype {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|d| d.name() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|d| d.name()).collect();
            format!("unknown dtype `{name}`; one of {}", known.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dtype_survives_its_name_its_code_and_a_round_trip() {
        for &dtype in Dtype::ALL {
            assert_eq!(dtype.name().parse(), Ok(dtype));
            assert_eq!(Dtype::from_code(dtype as u8), Some(dtype));
            let mut bytes = [0u8; 8];
            dtype.write_f64(1.0, &mut bytes);
            assert_eq!(dtype.read_f64(&bytes), 1.0, "{dtype}");
        }
        assert_eq!(Dtype::from_code(0), None);
        assert!("f128".parse::<Dtype>().unwrap_err().contains("f16, f32"));
    }
}
