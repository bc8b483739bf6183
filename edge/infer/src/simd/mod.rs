//! Instruction sets: which the machine has, and the kernels written for each.
//!
//! Every kernel here equals its scalar twin bit for bit; the tests run all that the machine
//! has. Only this folder holds `unsafe`, each block with its reason.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "aarch64")]
pub(crate) mod dot;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
#[cfg(target_arch = "x86_64")]
mod pair;
#[cfg(target_arch = "x86_64")]
pub(crate) mod vnni;
#[cfg(target_arch = "x86_64")]
mod x86;

use core::fmt;

/// What the kernels of a plan are written for.
///
/// A value is proof that the machine has it: only [`Isa::all`] and [`Isa::best`] give out
/// others than [`Isa::SCALAR`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Isa(Set);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    /// Plain Rust; the definition.
    Scalar,
    /// x86-64 with AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// x86-64 with AVX-512 and its dot products.
    #[cfg(target_arch = "x86_64")]
    Vnni,
    /// aarch64 with NEON (A53, A72).
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// aarch64 with the dot product (A76).
    #[cfg(target_arch = "aarch64")]
    Dot,
}

impl Isa {
    /// Plain Rust.
    pub const SCALAR: Self = Self(Set::Scalar);

    /// All that this machine has, the best last.
    pub fn all() -> impl Iterator<Item = Self> {
        let sets = [
            Some(Set::Scalar),
            #[cfg(target_arch = "x86_64")]
            x86::has_avx2().then_some(Set::Avx2),
            #[cfg(target_arch = "x86_64")]
            x86::has_vnni().then_some(Set::Vnni),
            #[cfg(target_arch = "aarch64")]
            neon::is_there().then_some(Set::Neon),
            #[cfg(target_arch = "aarch64")]
            dot::is_there().then_some(Set::Dot),
        ];
        sets.into_iter().flatten().map(Self)
    }

    /// The fastest that this machine has.
    pub fn best() -> Self {
        Self::all().last().unwrap_or(Self::SCALAR)
    }

    pub(crate) const fn set(self) -> Set {
        self.0
    }

    /// Every other set of this architecture includes it.
    #[cfg(target_arch = "x86_64")]
    pub(crate) const fn has_avx2(self) -> bool {
        !matches!(self.0, Set::Scalar)
    }

    /// The same.
    #[cfg(target_arch = "aarch64")]
    pub(crate) const fn has_neon(self) -> bool {
        !matches!(self.0, Set::Scalar)
    }

    #[cfg(target_arch = "x86_64")]
    pub(crate) const fn has_vnni(self) -> bool {
        matches!(self.0, Set::Vnni)
    }

    /// Its name, as the journal and the bench print it.
    pub const fn name(self) -> &'static str {
        match self.0 {
            Set::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::Vnni => "vnni",
            #[cfg(target_arch = "aarch64")]
            Set::Neon => "neon",
            #[cfg(target_arch = "aarch64")]
            Set::Dot => "dot",
        }
    }
}

impl fmt::Debug for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn sets_that_an_emulator_promises_are_found() {
        let Ok(promised) = std::env::var("NIGHTJAR_KERNELS") else { return };
        let found: Vec<_> = Isa::all().map(Isa::name).collect();
        assert_eq!(found.join("+"), promised);
    }
}
