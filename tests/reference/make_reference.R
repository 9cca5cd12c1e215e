# Makes the reference values beside it: Rscript make_reference.R (in this folder).
# Needs R and pROC (made with R 4.2.2 and pROC 1.18.0); the tests read only the CSV files.
suppressPackageStartupMessages(library(pROC))
set.seed(20260105)

number <- function(x) formatC(x, digits = 17, format = "g", width = 1)

scored <- function(n_pos, n_neg, shift, digits = 6, shared = 0.5) {
  y <- rep(c(1, 0), c(n_pos, n_neg))
  common <- rnorm(length(y))
  arm <- function(shift) {
    own <- rnorm(length(y))
    round(shift * y + sqrt(shared) * common + sqrt(1 - shared) * own, digits)
  }
  data.frame(y = y, a = arm(shift), b = arm(0.7 * shift))
}

data_sets <- list(
  tiny = data.frame(y = c(1, 1, 1, 0, 0, 0), a = c(3, 2, 1.5, 1, 2, 0), b = c(1, 3, 2, 2.5, 0, 1)),
  two_positives = data.frame(
    y = c(1, 1, 0, 0, 0, 0, 0), a = c(2, 5, 1, 3, 0, 4, 2), b = c(5, 1, 1, 2, 2, 0, 3)
  ),
  five_grades = local({
    d <- scored(40, 60, 1.2)
    cuts <- c(-Inf, -0.5, 0.3, 1, 1.8, Inf)
    data.frame(y = d$y, a = as.integer(cut(d$a, cuts)), b = as.integer(cut(d$b, cuts)))
  }),
  two_grades = local({
    d <- scored(25, 35, 1.5)
    data.frame(y = d$y, a = as.integer(d$a > 0.7), b = as.integer(d$b > 0.7))
  }),
  one_decimal = scored(50, 50, 1.0, digits = 1),
  near_one = scored(30, 50, 4.0),
  near_half = scored(60, 60, 0.05),
  below_half = scored(45, 30, -0.8),
  prevalence_tenth = scored(20, 180, 1.3),
  prevalence_most = scored(150, 15, 1.0, digits = 2),
  independent_arms = scored(35, 45, 1.0, shared = 0),
  similar_arms = scored(35, 45, 1.0, digits = 2, shared = 0.98),
  large = scored(250, 500, 1.1, digits = 2),
  opposite_arms = local({
    d <- scored(30, 30, 1.0)
    data.frame(y = d$y, a = d$a, b = -d$a)
  })
)

samples <- do.call(rbind, lapply(names(data_sets), function(name) {
  d <- data_sets[[name]]
  data.frame(data = name, y = d$y, a = d$a, b = d$b)
}))
write.csv(samples, "samples.csv", row.names = FALSE, quote = FALSE)

roc_of <- function(y, score) roc(y, score, levels = c(0, 1), direction = "<", quiet = TRUE)

auroc <- do.call(rbind, lapply(names(data_sets), function(name) {
  d <- data_sets[[name]]
  a <- roc_of(d$y, d$a)
  b <- roc_of(d$y, d$b)
  ci_a <- as.numeric(ci.auc(a, method = "delong"))
  ci_b <- as.numeric(ci.auc(b, method = "delong", conf.level = 0.9))
  test <- roc.test(a, b, method = "delong", paired = TRUE)
  values <- c(
    auc_a = ci_a[2], low_a = ci_a[1], high_a = ci_a[3], variance_a = var(a, method = "delong"),
    auc_b = ci_b[2], low90_b = ci_b[1], high90_b = ci_b[3],
    z = unname(test$statistic), p = test$p.value,
    low = test$conf.int[1], high = test$conf.int[2]
  )
  data.frame(data = name, t(sapply(values, number)))
}))
write.csv(auroc, "auroc.csv", row.names = FALSE, quote = FALSE)

# Obuchowski's clustered variance, from the double sums of her paper, patient by patient.
obuchowski <- function(y, a, b, patient) {
  psi <- function(x, z) (x > z) + 0.5 * (x == z)
  patients <- unique(patient)
  sums <- function(score) {
    x <- score[y == 1]
    z <- score[y == 0]
    theta <- mean(outer(x, z, psi))
    above <- vapply(score, function(s) mean(psi(s, z)) - theta, 0)
    below <- vapply(score, function(s) mean(psi(x, s)) - theta, 0)
    list(
      theta = theta,
      v10 = vapply(patients, function(p) sum(above[y == 1 & patient == p]), 0),
      v01 = vapply(patients, function(p) sum(below[y == 0 & patient == p]), 0)
    )
  }
  i10 <- length(unique(patient[y == 1]))
  i01 <- length(unique(patient[y == 0]))
  i <- length(patients)
  m <- sum(y == 1)
  n <- sum(y == 0)
  covariance <- function(s, t) {
    s10 <- i10 / ((i10 - 1) * m) * sum(s$v10 * t$v10)
    s01 <- i01 / ((i01 - 1) * n) * sum(s$v01 * t$v01)
    s11 <- i / (i - 1) * (sum(s$v10 * t$v01) + sum(t$v10 * s$v01))
    s10 / m + s01 / n + s11 / (m * n)
  }
  s <- sums(a)
  t <- sums(b)
  z <- (s$theta - t$theta) /
    sqrt(covariance(s, s) + covariance(t, t) - 2 * covariance(s, t))
  c(auc_a = s$theta, variance_a = covariance(s, s), variance_b = covariance(t, t), z = z)
}

# Patients of one class each, and patients with samples of both classes, of unequal sizes.
clustered <- do.call(rbind, lapply(c("one_class", "both_classes"), function(name) {
  patient <- rep(1:18, times = rep(c(1, 2, 3, 5, 1, 4), 3))
  y <- if (name == "one_class") as.integer(patient %% 2 == 0) else rbinom(length(patient), 1, 0.4)
  own <- rnorm(18)[patient]
  a <- round(y + 0.7 * own + 0.7 * rnorm(length(y)), 1)
  b <- round(0.5 * y + 0.7 * own + 0.7 * rnorm(length(y)), 1)
  data.frame(data = name, patient = patient, y = y, a = a, b = b)
}))
write.csv(clustered, "clustered_samples.csv", row.names = FALSE, quote = FALSE)
expected <- do.call(rbind, lapply(split(clustered, clustered$data), function(d) {
  values <- obuchowski(d$y, d$a, d$b, d$patient)
  data.frame(data = d$data[1], t(sapply(values, number)))
}))
write.csv(expected, "clustered_auroc.csv", row.names = FALSE, quote = FALSE)

# Cross-validation: pROC fold by fold.
folded <- scored(40, 60, 1.1, digits = 1)
folded$fold <- rep(1:5, length.out = 100)
write.csv(folded, "folded_samples.csv", row.names = FALSE, quote = FALSE)
by_fold <- do.call(rbind, lapply(1:5, function(fold) {
  d <- folded[folded$fold == fold, ]
  a <- roc_of(d$y, d$a)
  b <- roc_of(d$y, d$b)
  values <- c(
    auc_a = as.numeric(auc(a)), variance_a = var(a, method = "delong"),
    auc_b = as.numeric(auc(b)), variance_b = var(b, method = "delong"),
    covariance = cov(a, b, method = "delong")
  )
  data.frame(fold = fold, t(sapply(values, number)))
}))
write.csv(by_fold, "folded_auroc.csv", row.names = FALSE, quote = FALSE)

# Wilson's interval is that of prop.test without continuity correction.
wilson <- do.call(rbind, lapply(
  list(c(0, 1), c(0, 10), c(10, 10), c(1, 2), c(7, 10), c(81, 263), c(148, 148), c(1, 29), c(499, 500)),
  function(pair) {
    do.call(rbind, lapply(c(0.9, 0.95, 0.99), function(level) {
      ci <- suppressWarnings(prop.test(pair[1], pair[2], correct = FALSE, conf.level = level)$conf.int)
      data.frame(
        successes = pair[1], n = pair[2], level = level, low = number(ci[1]), high = number(ci[2])
      )
    }))
  }
))
write.csv(wilson, "wilson.csv", row.names = FALSE, quote = FALSE)

# McNemar's test given the discordant counts: exact, and the chi-squared one.
mcnemar <- do.call(rbind, lapply(
  list(c(1, 0), c(5, 0), c(6, 2), c(10, 10), c(25, 12), c(3, 30), c(150, 117)),
  function(pair) {
    exact <- binom.test(pair[1], sum(pair))$p.value
    table <- matrix(c(50, pair[1], pair[2], 20), 2)
    chi <- mcnemar.test(table, correct = FALSE)
    data.frame(
      only_a = pair[1], only_b = pair[2], p_exact = number(exact), p_chi_squared = number(chi$p.value)
    )
  }
))
write.csv(mcnemar, "mcnemar.csv", row.names = FALSE, quote = FALSE)

p <- c(0.01, 0.04, 0.03, 0.005, 0.2, 0.04, 0.9)
write.csv(
  data.frame(p = p, adjusted = number(p.adjust(p, "holm"))), "holm.csv",
  row.names = FALSE, quote = FALSE
)
