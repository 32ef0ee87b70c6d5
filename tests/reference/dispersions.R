# Reference fits of families that the packed numbers lack: writes dispersions.json, which
# tests/test_dispersed_families.py compares with.
#
#   Rscript dispersions.R DATA dispersions.json
#
# DATA is a folder with Salamanders.csv and beta_sim.csv. Needs R >= 4.2 with glmmTMB and jsonlite. glmmTMB's Laplace
# approximation is exact in its derivatives; its defaults stop early, so every fit ends with Newton steps.

suppressPackageStartupMessages(library(glmmTMB))

arguments <- commandArgs(TRUE)
read <- function(name) read.csv(file.path(arguments[1], name), stringsAsFactors = TRUE)
salamanders <- read("Salamanders.csv")
salamanders$mined <- relevel(salamanders$mined, "yes")
beta <- read("beta_sim.csv")
# a scale with both ends
beta$z <- pmin(pmax((beta$y - 0.15) / 0.75, 0), 1)
fits <- list()

polish <- function(object) {
  par <- object$fit$par
  best <- par
  for (i in 1:3) {
    h <- numDeriv::jacobian(object$obj$gr, best)
    best <- best - solve((h + t(h)) / 2, as.vector(object$obj$gr(best)))
  }
  value <- object$obj$fn(best)
  h <- numDeriv::jacobian(object$obj$gr, best)
  list(par = best, names = names(par), se = sqrt(diag(solve((h + t(h)) / 2))), loglik = -as.vector(value))
}

add <- function(key, formula, data, family, ours, link, dataset, ...) {
  found <- polish(glmmTMB(formula, data = data, family = family, ...))
  fits[[key]] <<- list(
    dataset = dataset, formula = deparse(formula, width.cutoff = 500), family = ours, link = link, loglik = found$loglik,
    names = I(found$names), estimate = I(unname(found$par)), se = I(unname(found$se)),
    source = paste("glmmTMB", packageVersion("glmmTMB"))
  )
  cat(sprintf("%-40s %.9f\n", key, found$loglik))
}

one <- list(start = list(betad = 0), map = list(betad = factor(NA)))
do.call(add, c(list("geometric", count ~ mined + (1 | site), salamanders, nbinom2, "geometric", "log", "Salamanders"), one))
add("beta probit", y ~ x + trt + (1 | g), beta, beta_family("probit"), "beta", "probit", "beta_sim")
add("genpois", count ~ mined + (1 | site), salamanders, genpois, "generalized_poisson", "log", "Salamanders")
add("ordbeta", z ~ x + trt + (1 | g), beta, ordbeta, "ordered_beta", "logit", "beta_sim", start = list(psi = c(-3, 1.5)))
add("compois without groups", count ~ mined, salamanders, compois, "conway_maxwell_poisson", "log", "Salamanders")

made <- list(made_by = "tests/reference/dispersions.R", R = R.version.string, fits = fits)
jsonlite::write_json(made, arguments[2], digits = NA, auto_unbox = TRUE, pretty = TRUE)
