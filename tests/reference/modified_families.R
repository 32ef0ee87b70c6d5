# Reference fits with zero parts and truncation, one number each: writes modified_families.json, which
# tests/test_modified_fits.py compares with. Those with a formula for the zeros are in numbers/Salamanders.json.gz.
#
#   Rscript modified_families.R data/Salamanders.csv.gz data/gamma_sim.csv.gz modified_families.json
#
# Needs R >= 4.2 with glmmTMB, jsonlite. The fits are brought to the maximum by Newton steps with glmmTMB's own exact
# gradients.

suppressPackageStartupMessages(library(glmmTMB))

arguments <- commandArgs(TRUE)
salamanders <- read.csv(arguments[1])
salamanders$spp <- factor(salamanders$spp, levels = c("GP", "PR", "DM", "EC-A", "EC-L", "DES-L", "DF"))
salamanders$mined <- factor(salamanders$mined, levels = c("yes", "no"))
gamma_sim <- read.csv(arguments[2])
fits <- list()

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

add <- function(key, dataset, data, formula, family, zero) {
  zi <- if (zero == "") ~0 else ~1
  model <- suppressWarnings(glmmTMB(formula, data, family, ziformula = zi))
  par <- polish(model)
  h <- optimHess(par, function(p) model$obj$fn(p), function(p) as.vector(model$obj$gr(p)))
  fits[[key]] <<- list(
    dataset = dataset, family = family$family, zero = zero, loglik = -model$obj$fn(par),
    fixed = I(unname(par[names(par) == "beta"])), sd = exp(unname(par[names(par) == "theta"])),
    zeta = I(unname(par[names(par) == "betazi"])), betad = I(unname(par[names(par) == "betad"])),
    se = I(unname(sqrt(diag(solve(h))))), source = paste("glmmTMB", packageVersion("glmmTMB"))
  )
  cat(sprintf("%-30s %.9f\n", key, fits[[key]]$loglik))
}

counts <- count ~ spp + mined + (1 | site)
some <- subset(salamanders, count > 0)
add("zip", "Salamanders", salamanders, counts, poisson(), "inflation")
add("zinb2", "Salamanders", salamanders, count ~ mined + (1 | site), nbinom2(), "inflation")
add("zinb1", "Salamanders", salamanders, counts, nbinom1(), "inflation")
add("hurdle_poisson", "Salamanders", salamanders, counts, truncated_poisson(), "hurdle")
add("hurdle_nbinom2", "Salamanders", salamanders, counts, truncated_nbinom2(), "hurdle")
add("hurdle_nbinom1", "Salamanders", salamanders, counts, truncated_nbinom1(), "hurdle")
add("truncated_poisson", "Salamanders", some, counts, truncated_poisson(), "")
add("truncated_nbinom2", "Salamanders", some, counts, truncated_nbinom2(), "")
gamma_sim$y[seq(1, nrow(gamma_sim), by = 4)] <- 0
add("hurdle_gamma", "gamma_sim, every fourth y zero", gamma_sim, y ~ x + (1 | g), ziGamma(link = "log"), "hurdle")
writeLines(jsonlite::toJSON(list(fits = fits), auto_unbox = TRUE, digits = NA, pretty = TRUE), arguments[3])
