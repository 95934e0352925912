//! The inner products for x86-64. Six rows at a time: as many sums as there are registers for.

use std::arch::x86_64::*;

use super::lines::{Chunk, Line, ROWS};

/// Bytes ahead of a row that are asked for: beyond what the processor fetches by itself at a page's end.
const AHEAD: usize = 512;

/// With AVX2: digits and half words multiplied as 16 bits, in pairs (`vpmaddwd`).
#[target_feature(enable = "avx2")]
pub(super) fn products_avx2(rows: [&[Line]; ROWS], words: &[Chunk]) -> [u32; ROWS] {
    let mut low = [_mm256_setzero_si256(); ROWS];
    let mut high = [_mm256_setzero_si256(); ROWS];
    for ([a, b, c, d, e, f], words, ahead) in parts(rows, words) {
        for ((((((a, b), c), d), e), f), chunk) in
            a.iter().zip(b).zip(c).zip(d).zip(e).zip(f).zip(words)
        {
            let lines = [a, b, c, d, e, f];
            lines.into_iter().for_each(|line| fetch(line, ahead));
            for quarter in 0..4 {
                let lows = load_halves(chunk, quarter);
                let highs = load_halves(chunk, 4 + quarter);
                for ((low, high), line) in low.iter_mut().zip(&mut high).zip(lines) {
                    let digits = load_digits(line, quarter);
                    *low = _mm256_add_epi32(*low, _mm256_madd_epi16(digits, lows));
                    *high = _mm256_add_epi32(*high, _mm256_madd_epi16(digits, highs));
                }
            }
        }
    }
    let mut sums = [0; ROWS];
    for ((sum, low), high) in sums.iter_mut().zip(low).zip(high) {
        *sum = total(_mm256_add_epi32(low, _mm256_slli_epi32::<16>(high)));
    }
    sums
}

/// With AVX-512 VNNI: digits and bytes of words multiplied as they are, in fours (`vpdpbusd`).
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn products_avx512(rows: [&[Line]; ROWS], words: &[Chunk]) -> [u32; ROWS] {
    let mut sums = [[_mm512_setzero_si512(); 4]; ROWS];
    for ([a, b, c, d, e, f], words, ahead) in parts(rows, words) {
        for ((((((a, b), c), d), e), f), chunk) in
            a.iter().zip(b).zip(c).zip(d).zip(e).zip(f).zip(words)
        {
            let lines = [a, b, c, d, e, f];
            lines.into_iter().for_each(|line| fetch(line, ahead));
            let planes = [0, 1, 2, 3].map(|plane| load_plane(chunk, plane));
            for (sums, line) in sums.iter_mut().zip(lines) {
                let digits = load_line(line);
                for (sum, plane) in sums.iter_mut().zip(planes) {
                    *sum = _mm512_dpbusd_epi32(*sum, plane, digits);
                }
            }
        }
    }
    let [a, b, c, d, e, f] = sums.map(|[first, second, third, fourth]| {
        let high = _mm512_add_epi32(third, _mm512_slli_epi32::<8>(fourth));
        let low = _mm512_add_epi32(first, _mm512_slli_epi32::<8>(second));
        _mm512_add_epi32(low, _mm512_slli_epi32::<16>(high))
    });
    let [a, b, c, d] = totals([a, b, c, d]);
    let [e, f, ..] = totals([e, f, e, f]);
    [a, b, c, d, e, f]
}

/// Lines of rows, the chunks for them, and how many bytes ahead of them to fetch.
type Part<'a> = ([&'a [Line]; ROWS], &'a [Chunk], usize);

/// The rows in two parts. What is ahead of the second is not in these rows but in the next ones.
fn parts<'a>(rows: [&'a [Line]; ROWS], words: &'a [Chunk]) -> [Part<'a>; 2] {
    let width = rows
        .map(<[Line]>::len)
        .into_iter()
        .min()
        .unwrap_or(0)
        .min(words.len());
    let middle = width.saturating_sub(AHEAD / size_of::<Line>());
    let (words, last_words) = words.split_at(middle);
    let next = AHEAD + (ROWS - 1) * width * size_of::<Line>();
    [
        (rows.map(|row| row.split_at(middle).0), words, AHEAD),
        (rows.map(|row| row.split_at(middle).1), last_words, next),
    ]
}

/// A hint that reads nothing: any address will do.
#[inline]
fn fetch(line: &Line, ahead: usize) {
    let ahead = line.as_ptr().wrapping_add(ahead).cast();
    // SAFETY: a prefetch never faults, wherever it points; SSE is part of x86-64.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(ahead) }
}

/// Sixteen digits of a line as 16-bit numbers; `quarter` is below 4.
#[inline]
#[target_feature(enable = "avx2")]
fn load_digits(line: &Line, quarter: usize) -> __m256i {
    debug_assert!(quarter < 4);
    // SAFETY: 16 bytes at 0, 16, 32 or 48 of 64.
    let digits = unsafe { _mm_loadu_si128(line.as_ptr().cast::<__m128i>().add(quarter)) };
    _mm256_cvtepi8_epi16(digits)
}

/// Sixteen of a chunk's halves; `sixteen` is below 8.
#[inline]
#[target_feature(enable = "avx2")]
fn load_halves(chunk: &Chunk, sixteen: usize) -> __m256i {
    debug_assert!(sixteen < 8);
    // SAFETY: 32 bytes at a multiple of 32 below 256, and a chunk has 256.
    unsafe { _mm256_loadu_si256(chunk.0.as_ptr().cast::<__m256i>().add(sixteen)) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_line(line: &Line) -> __m512i {
    // SAFETY: a line has 64 bytes.
    unsafe { _mm512_loadu_si512(line.as_ptr().cast()) }
}

/// One plane of a chunk; `plane` is below 4.
#[inline]
#[target_feature(enable = "avx512f")]
fn load_plane(chunk: &Chunk, plane: usize) -> __m512i {
    debug_assert!(plane < 4);
    // SAFETY: 64 bytes at a multiple of 64 below 256, and a chunk has 256.
    unsafe { _mm512_loadu_si512(chunk.0.as_ptr().cast::<__m512i>().add(plane)) }
}

/// The sum of eight numbers modulo 2^32.
#[inline]
#[target_feature(enable = "avx2")]
fn total(eight: __m256i) -> u32 {
    let four = _mm_add_epi32(
        _mm256_castsi256_si128(eight),
        _mm256_extracti128_si256::<1>(eight),
    );
    let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b00_00_11_10>(four));
    let one = _mm_add_epi32(two, _mm_shuffle_epi32::<0b00_00_00_01>(two));
    _mm_cvtsi128_si32(one) as u32
}

/// The sums of sixteen numbers each modulo 2^32: four at once take half the steps of one by one.
#[inline]
#[target_feature(enable = "avx512f")]
fn totals([a, b, c, d]: [__m512i; 4]) -> [u32; 4] {
    let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    // Now each 128 bits hold a part of every sum, in order.
    let parts = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    let two = _mm256_add_epi32(
        _mm512_castsi512_si256(parts),
        _mm512_extracti64x4_epi64::<1>(parts),
    );
    let one = _mm_add_epi32(
        _mm256_castsi256_si128(two),
        _mm256_extracti128_si256::<1>(two),
    );
    [
        _mm_extract_epi32::<0>(one) as u32,
        _mm_extract_epi32::<1>(one) as u32,
        _mm_extract_epi32::<2>(one) as u32,
        _mm_extract_epi32::<3>(one) as u32,
    ]
}
