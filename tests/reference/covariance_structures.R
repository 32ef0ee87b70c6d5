# Reference fits with covariance structures: writes covariance_structures.json, which tests/test_covariance_reports.py compares with.
#
#   Rscript covariance_structures.R covariance_structures.json
#
# Needs R >= 4.2 with glmmTMB, nlme, lme4, MASS, jsonlite.
#
# glmmTMB's Laplace approximation is that of this project; its fits are brought to the maximum by Newton steps with its own
# exact gradients. Structures that it does not have (one variance for independent effects, first-order autoregression with
# variances that differ) come from the Gaussian likelihood itself, written out below, and from nlme.

suppressPackageStartupMessages({
  library(glmmTMB)
  library(nlme)
})

arguments <- commandArgs(TRUE)
output <- if (length(arguments) >= 1) arguments[1] else "covariance_structures.json"
fits <- list()

add <- function(key, dataset, formula, family, method, structure, loglik, estimate, covariance, sigma, source) {
  sd <- sqrt(diag(covariance))
  fit <- list(dataset = dataset, formula = formula, family = family, method = method, structure = structure,
              loglik = loglik, fixed = I(unname(estimate)), sd = I(unname(sd)), corr = I(unname(covariance / outer(sd, sd))),
              sigma = sigma, source = source)
  fits[[key]] <<- fit[!vapply(fit, is.null, TRUE)]
  cat(sprintf("%-40s %.9f\n", key, loglik))
}

# ---- glmmTMB ----

polish <- function(model, steps = 8) {
  par <- model$fit$par
  gradient <- function(p) as.vector(model$obj$gr(p))
  for (i in seq_len(steps)) {
    h <- optimHess(par, function(p) model$obj$fn(p), gradient)
    if (!all(is.finite(h))) break
    step <- solve(h, gradient(par))
    decrement <- sum(step * (h %*% step))
    if (!all(is.finite(step)) || max(abs(step)) > 1 || decrement < 0) break
    par <- par - step
    if (sqrt(decrement) < 1e-8) break
  }
  model$obj$fn(par)
  par
}

by_glmmtmb <- function(key, dataset, data, ours, theirs, family, structure, method = "ml") {
  model <- suppressWarnings(glmmTMB(theirs, data, family, REML = method == "reml"))
  par <- polish(model)
  report <- model$obj$env$report(model$obj$env$last.par)
  sd <- as.vector(report$sd[[1]])
  block <- report$corr[[1]]
  if (length(block) != length(sd)^2) block <- diag(length(sd)) # independent effects have none
  beta <- if (method == "reml") model$obj$env$last.par[names(model$obj$env$last.par) == "beta"] else par[names(par) == "beta"]
  sigma <- if (family$family == "gaussian") {
    value <- par[names(par) == "betad"]
    unname(if (packageVersion("glmmTMB") < "1.1.8") exp(value / 2) else exp(value))
  }
  add(key, dataset, ours, family$family, method, structure, -model$obj$fn(par), beta, block * outer(sd, sd), sigma,
      paste("glmmTMB", packageVersion("glmmTMB")))
}

# ---- the Gaussian likelihood ----

correlation <- function(structure, q, tau) {
  lag <- abs(outer(seq_len(q), seq_len(q), "-"))
  if (grepl("ar1", structure)) return(tanh(tau)^lag)
  if (grepl("compound", structure)) {
    rho <- (exp(2 * tau) - 1) / (exp(2 * tau) + q - 1)
    return(ifelse(lag == 0, 1, rho))
  }
  diag(q)
}

by_likelihood <- function(key, dataset, data, ours, fixed, random, group, structure, method = "ml") {
  X <- model.matrix(fixed, data)
  y <- model.response(model.frame(fixed, data))
  Z <- model.matrix(random, data)
  q <- ncol(Z)
  rows <- split(seq_along(y), data[[group]])
  one_sd <- structure %in% c("homogeneous diagonal", "homogeneous compound symmetry", "ar1")
  has_tau <- structure != "homogeneous diagonal"
  unpack <- function(par) {
    n_sd <- if (one_sd) 1 else q
    sd <- rep(exp(par[seq_len(n_sd)]), length.out = q)
    list(sigma = exp(par[length(par)]), covariance = outer(sd, sd) * correlation(structure, q, if (has_tau) par[n_sd + 1] else 0))
  }
  profile <- function(par) {
    at <- unpack(par)
    XX <- 0; Xy <- 0; yy <- 0; logdet <- 0
    for (r in rows) {
      V <- Z[r, ] %*% at$covariance %*% t(Z[r, ]) + at$sigma^2 * diag(length(r))
      R <- chol(V)
      A <- backsolve(R, cbind(X[r, , drop = FALSE], y[r]), transpose = TRUE)
      p <- ncol(X)
      XX <- XX + crossprod(A[, 1:p]); Xy <- Xy + crossprod(A[, 1:p], A[, p + 1]); yy <- yy + sum(A[, p + 1]^2)
      logdet <- logdet + 2 * sum(log(diag(R)))
    }
    beta <- solve(XX, Xy)
    nu <- length(y) - if (method == "reml") ncol(X) else 0
    loglik <- -0.5 * (logdet + yy - sum(Xy * beta) + nu * log(2 * pi) + if (method == "reml") as.numeric(determinant(XX)$modulus) else 0)
    list(loglik = loglik, beta = drop(beta))
  }
  n_par <- (if (one_sd) 1 else q) + has_tau + 1
  scale <- log(sd(y) / 2)
  start <- rep(scale, n_par)
  if (has_tau) start[n_par - 1] <- 0.5
  best <- nlminb(start, function(par) -profile(par)$loglik, control = list(rel.tol = 1e-15, x.tol = 1e-12, iter.max = 1000, eval.max = 4000))
  best <- nlminb(best$par, function(par) -profile(par)$loglik, control = list(rel.tol = 1e-15, x.tol = 1e-12, iter.max = 1000, eval.max = 4000))
  at <- unpack(best$par)
  add(key, dataset, ours, "gaussian", method, structure, -best$objective, profile(best$par)$beta, at$covariance, at$sigma,
      paste("the Gaussian likelihood (covariance_structures.R),", R.version.string))
}

# ---- nlme ----

by_nlme <- function(key, dataset, data, ours, fixed, random, structure, method = "ml") {
  model <- lme(fixed, data, random, method = toupper(method),
               control = lmeControl(opt = "optim", msTol = 1e-12, tolerance = 1e-12, msMaxIter = 1000, maxIter = 1000, niterEM = 200))
  covariance <- as.matrix(getVarCov(model))
  class(covariance) <- NULL
  attr(covariance, "group.levels") <- NULL
  add(key, dataset, ours, "gaussian", method, structure, as.numeric(logLik(model)), fixef(model), matrix(covariance, nrow(covariance)),
      model$sigma, paste("nlme", packageVersion("nlme")))
}

# ---- the fits ----

# Two days make one window, so that every window has two responses and the residual variance can be told apart.
sleep <- lme4::sleepstudy
sleep$window <- factor(sleep$Days %/% 2)
for (method in c("ml", "reml")) {
  # "us" is at the boundary, which glmmTMB does not reach, nor does it get through "cs" and "rr" by REML
  for (name in if (method == "ml") c("diag", "cs", "ar1", "rr") else c("diag", "ar1")) {
    structure <- c(diag = "diagonal", cs = "compound symmetry", ar1 = "ar1", rr = "reduced rank 1")[[name]]
    bar <- if (name == "rr") "rr(0 + window | Subject, d = 1)" else paste0(name, "(0 + window | Subject)")
    by_glmmtmb(paste("sleepstudy", method, name), "sleepstudy", sleep, paste("Reaction ~ Days +", bar),
               as.formula(paste("Reaction ~ Days +", sub("d = 1", "1", bar))), gaussian(), structure, method)
  }
  for (name in c("homdiag", "homcs", "hetar1", "ar1", "cs")) {
    structure <- c(homdiag = "homogeneous diagonal", homcs = "homogeneous compound symmetry", hetar1 = "heterogeneous ar1",
                   ar1 = "ar1", cs = "compound symmetry")[[name]]
    by_likelihood(paste("sleepstudy", method, name, "direct"), "sleepstudy", sleep, paste0("Reaction ~ Days + ", name, "(0 + window | Subject)"),
                  Reaction ~ Days, ~ 0 + window, "Subject", structure, method)
  }
  by_nlme(paste("sleepstudy", method, "homcs nlme"), "sleepstudy", sleep, "Reaction ~ Days + homcs(0 + window | Subject)", Reaction ~ Days,
          list(Subject = pdCompSymm(~ 0 + window)), "homogeneous compound symmetry", method)
  by_nlme(paste("sleepstudy", method, "homdiag nlme"), "sleepstudy", sleep, "Reaction ~ Days + homdiag(0 + window | Subject)", Reaction ~ Days,
          list(Subject = pdIdent(~ 0 + window)), "homogeneous diagonal", method)
}

epil <- MASS::epil
epil$lbase <- log(epil$base / 4) - mean(log(epil$base / 4))
epil$lage <- log(epil$age) - mean(log(epil$age))
epil$trt <- factor(epil$trt, c("placebo", "progabide"))
epil$occasion <- factor(epil$period)
for (name in c("diag", "us", "cs", "ar1")) {
  structure <- c(diag = "diagonal", us = "unstructured", cs = "compound symmetry", ar1 = "ar1")[[name]]
  bar <- paste0(name, "(0 + occasion | subject)")
  by_glmmtmb(paste("epil", name), "epil", epil, paste("y ~ lbase * trt + lage + V4 +", bar),
             as.formula(paste("y ~ lbase * trt + lage + V4 +", bar)), poisson(), structure)
}

data(Salamanders, package = "glmmTMB")
salamanders <- Salamanders
salamanders$present <- as.numeric(salamanders$count > 0)
for (name in c("cs", "rr")) {
  structure <- c(cs = "compound symmetry", rr = "reduced rank 2")[[name]]
  bar <- if (name == "rr") "rr(0 + spp | site, d = 2)" else "cs(0 + spp | site)"
  by_glmmtmb(paste("Salamanders", name), "Salamanders", salamanders, paste("count ~ mined +", bar),
             as.formula(paste("count ~ mined +", sub("d = 2", "2", bar))), poisson(), structure)
}
for (name in c("cs", "diag")) {
  structure <- c(cs = "compound symmetry", diag = "diagonal")[[name]]
  bar <- paste0(name, "(0 + spp | site)")
  by_glmmtmb(paste("Salamanders present", name), "Salamanders", salamanders, paste("present ~ mined +", bar),
             as.formula(paste("present ~ mined +", bar)), binomial(), structure)
}

header <- list(made_by = "tests/reference/covariance_structures.R", R = R.version.string)
writeLines(jsonlite::toJSON(c(header, list(fits = fits)), auto_unbox = TRUE, digits = NA, pretty = TRUE), output)
