//! Gauss-Legendre nodes on \[-1, 1\], their weights, and the spectral integration matrix.

use std::sync::LazyLock;

use crate::number::size;

/// Nodes per panel.
pub(crate) const NODES: usize = 16;

/// Bonnet's recurrence `P_(n+1) = up x P_n - down P_(n-1)`, by n.
const RECURRENCE: [(f64, f64); NODES] = {
    let mut table = [(1.0, 0.0); NODES];
    let (mut n, mut m) = (0, 0.0);
    while n < NODES {
        table[n] = ((2.0 * m + 1.0) / (m + 1.0), m / (m + 1.0));
        n += 1;
        m += 1.0;
    }
    table
};

/// The rule, computed once per process.
pub(crate) static GAUSS: LazyLock<Gauss> = LazyLock::new(Gauss::new);

/// A Gauss-Legendre rule with its integration matrix.
pub(crate) struct Gauss {
    /// Nodes, ascending.
    pub(crate) node: [f64; NODES],
    /// Weights; they sum to 2.
    pub(crate) weight: [f64; NODES],
    /// `from_left[m][k]`: the integral from -1 to node `k` of the Lagrange polynomial of node `m`.
    from_left: [[f64; NODES]; NODES],
}

impl Gauss {
    fn new() -> Self {
        let mut node = [0.0; NODES];
        let mut weight = [0.0; NODES];
        for (k, (x, w)) in node.iter_mut().zip(&mut weight).enumerate() {
            // Tricomi's guess is good to three digits; Newton doubles them each time.
            let angle = std::f64::consts::PI * (size(NODES - k) - 0.25) / (size(NODES) + 0.5);
            *x = angle.cos();
            for _ in 0..8 {
                let p = legendre(*x);
                *x -= p[NODES] / slope(*x, &p);
            }
            let derivative = slope(*x, &legendre(*x));
            *w = 2.0 / ((1.0 - *x * *x) * derivative * derivative);
        }
        let mut from_left = [[0.0; NODES]; NODES];
        for (m, row) in from_left.iter_mut().enumerate() {
            let at_m = legendre(node[m]);
            for (k, entry) in row.iter_mut().enumerate() {
                let at_k = legendre(node[k]);
                // The Lagrange polynomial in Legendre terms; each term integrates exactly.
                let mut sum = 0.5 * (node[k] + 1.0);
                for n in 1..NODES {
                    sum += 0.5 * at_m[n] * (at_k[n + 1] - at_k[n - 1]);
                }
                *entry = weight[m] * sum;
            }
        }
        Self {
            node,
            weight,
            from_left,
        }
    }

    /// The integral over a panel of half-width `half` of a function given at the nodes.
    pub(crate) fn integral(&self, half: f64, values: &[f64; NODES]) -> f64 {
        let sum: f64 = self.weight.iter().zip(values).map(|(w, v)| w * v).sum();
        half * sum
    }

    /// The integrals from the panel's left end to each node.
    pub(crate) fn running(&self, half: f64, values: &[f64; NODES]) -> [f64; NODES] {
        let mut out = [0.0; NODES];
        for (row, v) in self.from_left.iter().zip(values) {
            let v = half * v;
            for (o, r) in out.iter_mut().zip(row) {
                *o += v * r;
            }
        }
        out
    }

    /// The Legendre series through values at the nodes.
    pub(crate) fn series(&self, values: &[f64; NODES]) -> Series {
        let mut half_sum = [0.0; NODES];
        for ((x, w), v) in self.node.iter().zip(&self.weight).zip(values) {
            let p = legendre(*x);
            for (sum, p) in half_sum.iter_mut().zip(&p) {
                *sum += 0.5 * w * v * p;
            }
        }
        Series(half_sum)
    }

    /// The nodes of the panel that starts at `left`.
    pub(crate) fn nodes(&self, left: f64, half: f64) -> [f64; NODES] {
        self.node.map(|x| left + half * (1.0 + x))
    }
}

/// A function on \[-1, 1\] as a Legendre series: half its scalar products with the polynomials.
#[derive(Debug)]
pub(crate) struct Series([f64; NODES]);

impl Series {
    /// The integral from -1 to `x`.
    pub(crate) fn integral_to(&self, x: f64) -> f64 {
        // The integral of (2n + 1) P_n is P_(n+1) - P_(n-1); the two recur together.
        let mut sum = self.0[0] * (x + 1.0);
        let (mut before, mut here) = (1.0, x);
        for (c, (up, down)) in self.0.iter().zip(&RECURRENCE).skip(1) {
            let next = up * x * here - down * before;
            sum += c * (next - before);
            (before, here) = (here, next);
        }
        sum
    }
}

/// Legendre polynomials of degree 0 to `NODES` at `x`.
fn legendre(x: f64) -> [f64; NODES + 1] {
    let mut p = [1.0; NODES + 1];
    p[1] = x;
    for n in 1..NODES {
        let (up, down) = RECURRENCE[n];
        p[n + 1] = up * x * p[n] - down * p[n - 1];
    }
    p
}

/// The derivative of the highest polynomial at `x`.
fn slope(x: f64, p: &[f64; NODES + 1]) -> f64 {
    size(NODES) * (p[NODES - 1] - x * p[NODES]) / (1.0 - x * x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integrates_polynomials_exactly() {
        let values = GAUSS.nodes(1.0, 0.5).map(|x| x.powi(15));
        let exact = (2f64.powi(16) - 1.0) / 16.0;
        assert!((GAUSS.integral(0.5, &values) / exact - 1.0).abs() < 1e-14);
        let running = GAUSS.running(0.5, &values);
        for (y, got) in GAUSS.nodes(1.0, 0.5).iter().zip(running) {
            let exact = (y.powi(16) - 1.0) / 16.0;
            assert!((got - exact).abs() < 1e-11, "{y}: {got} {exact}");
        }
    }
}
