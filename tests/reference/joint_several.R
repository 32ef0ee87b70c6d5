# Reference fits with random effects of crossed factors in the mean and in the zero part: writes joint_several.json, which
# tests/test_joint_several.py compares with.
#
#   Rscript joint_several.R data/Salamanders.csv.gz joint_several.json
#
# Needs R >= 4.2 with glmmTMB, jsonlite. The fits are brought to the maximum by Newton steps with glmmTMB's own exact
# gradients.

suppressPackageStartupMessages(library(glmmTMB))

arguments <- commandArgs(TRUE)
salamanders <- read.csv(arguments[1])
salamanders$mined <- factor(salamanders$mined, levels = c("yes", "no"))
fits <- list()

polish <- function(model, steps = 8) {
  par <- model$fit$par
  gradient <- function(p) as.vector(model$obj$gr(p))
  for (i in seq_len(steps)) {
    h <- optimHess(par, function(p) model$obj$fn(p), gradient)
    step <- solve(h, gradient(par))
    decrement <- sum(step * (h %*% step))
    if (!all(is.finite(step)) || max(abs(step)) > 1 || decrement < 0) break
    par <- par - step
    if (sqrt(decrement) < 1e-8) break
  }
  model$obj$fn(par)
  par
}

add <- function(key, formula, family, zero) {
  model <- suppressWarnings(glmmTMB(formula, salamanders, family, ziformula = zero))
  par <- polish(model)
  h <- optimHess(par, function(p) model$obj$fn(p), function(p) as.vector(model$obj$gr(p)))
  model$obj$fn(par)
  modes <- model$obj$env$last.par
  fits[[key]] <<- list(
    family = family$family, formula = deparse(formula), zero = deparse(zero), loglik = -model$obj$fn(par),
    fixed = I(unname(par[names(par) == "beta"])), sd = I(exp(unname(par[names(par) == "theta"]))),
    zero_fixed = I(unname(par[names(par) == "betazi"])), zero_sd = I(exp(unname(par[names(par) == "thetazi"]))),
    log_dispersion = I(unname(par[names(par) == "betad"])), se = I(unname(sqrt(diag(solve(h))))),
    modes = unname(modes[names(modes) == "b"]), zero_modes = unname(modes[names(modes) == "bzi"]), source = paste("glmmTMB", packageVersion("glmmTMB"))
  )
  cat(sprintf("%-20s %.9f  sd %s  zero sd %s\n", key, fits[[key]]$loglik, toString(signif(fits[[key]]$sd, 5)),
              toString(signif(fits[[key]]$zero_sd, 5))))
}

mean <- count ~ mined + (1 | site) + (1 | spp)
add("zip", mean, poisson(), ~ mined + (1 | site))
add("zip_both", mean, poisson(), ~ (1 | site) + (1 | spp))
add("hurdle_nbinom2", mean, truncated_nbinom2(), ~ mined + (1 | spp))
add("hurdle", mean, truncated_poisson(), ~ mined + (1 | site) + (1 | spp))
writeLines(jsonlite::toJSON(list(fits = fits), auto_unbox = TRUE, digits = NA), arguments[2])
