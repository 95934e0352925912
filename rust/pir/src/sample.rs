//! Secrets and errors of queries, from the operating system's randomness, without branches on either.

use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use zeroize::Zeroizing;

use crate::layout::{COINS, DIMENSION};
use crate::{Error, Kernel, Result};

/// Words sampled at a time: 20 KiB of coin tosses.
const AT_ONCE: usize = 256;

/// A stream of secrets under a key that was drawn once; zeroised when dropped.
pub(crate) struct Sampler {
    stream: Ctr128BE<Aes256>,
    kernel: Kernel,
    coins: Zeroizing<Vec<[u8; COINS]>>,
}

impl Sampler {
    pub(crate) fn new(kernel: Kernel) -> Result<Self> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut_slice()).map_err(|_| Error::Randomness)?;
        Ok(Self::from_key(&key, kernel))
    }

    pub(crate) fn from_key(key: &[u8; 32], kernel: Kernel) -> Self {
        Self {
            stream: Ctr128BE::<Aes256>::new(key.into(), &[0; 16].into()),
            kernel,
            coins: Zeroizing::new(vec![[0; COINS]; AT_ONCE]),
        }
    }

    /// A secret: each word -1, 0 or 1, a third of the time each but for 2^-32.
    pub(crate) fn secret(&mut self) -> Zeroizing<Vec<u32>> {
        let mut words = Zeroizing::new(vec![[0_u8; 4]; DIMENSION]);
        self.stream.write_keystream(words.as_flattened_mut());
        Zeroizing::new(
            words
                .iter()
                .map(|word| ternary(u32::from_le_bytes(*word)))
                .collect(),
        )
    }

    /// Add an error to each word.
    pub(crate) fn disturb(&mut self, words: &mut [u32]) {
        for words in words.chunks_mut(AT_ONCE) {
            self.stream.write_keystream(self.coins.as_flattened_mut());
            self.kernel.add_heads(words, &self.coins);
        }
    }
}

/// -1, 0 or 1 modulo 2^32.
fn ternary(uniform: u32) -> u32 {
    let third = (u64::from(uniform) * 3) >> 32;
    (third as u32).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::ETA;

    fn mean_and_variance(words: &[u32]) -> (f64, f64) {
        let values = words.iter().map(|&word| f64::from(word as i32));
        let mean = values.clone().sum::<f64>() / words.len() as f64;
        let squares = values.map(|value| (value - mean).powi(2)).sum::<f64>();
        (mean, squares / words.len() as f64)
    }

    #[test]
    fn ternary_has_its_three_values_at_the_thirds() {
        assert_eq!(ternary(0), u32::MAX);
        assert_eq!(ternary(0x5555_5555), u32::MAX);
        assert_eq!(ternary(0x5555_5556), 0);
        assert_eq!(ternary(0xaaaa_aaaa), 0);
        assert_eq!(ternary(0xaaaa_aaab), 1);
        assert_eq!(ternary(u32::MAX), 1);
    }

    #[test]
    fn errors_have_the_variance_that_the_bound_counts_on() {
        let mut words = vec![0; 1 << 16];
        Sampler::from_key(&[7; 32], Kernel::detect()).disturb(&mut words);
        let (mean, variance) = mean_and_variance(&words);
        // Six deviations of either estimate; the stream is fixed, so this passes always or never.
        assert!(mean.abs() < 0.3, "{mean}");
        assert!((variance - ETA as f64 / 2.0).abs() < 5.4, "{variance}");
    }

    #[test]
    fn secrets_are_a_third_each() {
        let mut sampler = Sampler::from_key(&[8; 32], Kernel::detect());
        let words: Vec<u32> = (0..20).flat_map(|_| sampler.secret().to_vec()).collect();
        let (mean, variance) = mean_and_variance(&words);
        assert!(
            mean.abs() < 0.031 && (variance - 2.0 / 3.0).abs() < 0.018,
            "{mean} {variance}"
        );
    }
}
