//! The special functions that frequentist formulas need: normal, gamma, chi-square.

use std::f64::consts::PI;

/// `ln(gamma(x))` for x > 0, to about 1e-14 relative (Lanczos, g = 7).
pub(crate) fn ln_gamma(x: f64) -> f64 {
    const C: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        return (PI / (PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let mut sum = 0.999_999_999_999_809_9;
    let mut place = x;
    for c in C {
        place += 1.0;
        sum += c / place;
    }
    let t = x + 7.5;
    0.5 * (2.0 * PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// The upper regularised incomplete gamma function Q(a, x), for a > 0, x >= 0.
///
/// Series below the mean, Lentz's continued fraction above it: small tails keep their digits.
fn gamma_upper(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let front = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        let mut term = 1.0 / a;
        let mut sum = term;
        let mut place = a;
        while term > sum * 1e-17 {
            place += 1.0;
            term *= x / place;
            sum += term;
        }
        return 1.0 - front * sum;
    }
    let mut b = x + 1.0 - a;
    let mut c = 1e300;
    let mut d = 1.0 / b;
    let mut fraction = d;
    let mut i = 0.0;
    for _ in 0..10_000 {
        i += 1.0;
        let an = i * (a - i);
        b += 2.0;
        d = 1.0 / (an * d + b);
        c = b + an / c;
        let factor = d * c;
        fraction *= factor;
        if (factor - 1.0).abs() < 1e-16 {
            break;
        }
    }
    front * fraction
}

/// The probability that a chi-square variable exceeds `x`.
pub(crate) fn chi_square_above(x: f64, degrees: f64) -> f64 {
    gamma_upper(0.5 * degrees, 0.5 * x)
}

/// The probability that a standard normal variable exceeds `z`.
pub(crate) fn normal_above(z: f64) -> f64 {
    let tail = 0.5 * gamma_upper(0.5, 0.5 * z * z);
    if z > 0.0 { tail } else { 1.0 - tail }
}

/// The value that a standard normal variable exceeds with probability `p`, 0 < p < 1.
pub(crate) fn normal_quantile_above(p: f64) -> f64 {
    if p > 0.5 {
        return -normal_quantile_above(1.0 - p);
    }
    let p = p.max(1e-300);
    // Hastings' approximation, then Newton on ln of the tail, which is nearly quadratic.
    let t = (-2.0 * p.ln()).sqrt();
    let mut z = t
        - (2.515_517 + t * (0.802_853 + t * 0.010_328))
            / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308)));
    for _ in 0..4 {
        let tail = normal_above(z);
        let density = (-0.5 * z * z).exp() / (2.0 * PI).sqrt();
        z += (tail / p).ln() * tail / density;
    }
    z
}

/// The two-sided critical value of level `level`: 1.96 for 0.95.
pub(crate) fn critical_value(level: f64) -> f64 {
    normal_quantile_above(0.5 * (1.0 - level))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, expected: f64) {
        assert!((got / expected - 1.0).abs() < 1e-12, "{got} {expected}");
    }

    #[test]
    fn reference_values() {
        near(ln_gamma(0.01), 4.599_479_878_042_022);
        near(ln_gamma(1e9), 19_723_265_827.503_72);
        near(normal_above(1.959_963_984_540_054), 0.025);
        near(normal_above(-1.959_963_984_540_054), 0.975);
        near(normal_quantile_above(0.025), 1.959_963_984_540_054);
        near(normal_quantile_above(1e-12), 7.034_483_825_301_132);
        near(normal_quantile_above(0.9), -1.281_551_565_544_600_4);
        near(chi_square_above(3.841_458_820_694_124, 1.0), 0.05);
        near(chi_square_above(300.0, 2.0), (-150.0_f64).exp());
    }
}
