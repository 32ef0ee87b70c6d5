# Profile intervals of linear mixed models with several grouping factors: writes profiles.json, which
# tests/test_profile_limits.py compares with.
#
#   Rscript profiles.R profiles.json
#
# Needs R >= 4.2 with lme4 and jsonlite. lme4 interpolates a spline between the points of its profile, here far denser
# than by default, so that its limits are good to about 1e-6 of what they are.

suppressPackageStartupMessages(library(lme4))

limits <- function(formula, data) {
  fit <- lmer(formula, data, REML = FALSE, control = lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-12, maxfun = 1e5)))
  profile <- profile(fit, alphamax = 0.04, delta.cutoff = 1 / 40, maxpts = 400)
  found <- confint(profile, level = 0.95)
  list(names = rownames(found), lower = unname(found[, 1]), upper = unname(found[, 2]))
}

fits <- list(
  Penicillin = limits(diameter ~ 1 + (1 | plate) + (1 | sample), Penicillin),
  Pastes = limits(strength ~ 1 + (1 | batch / cask), Pastes)
)
out <- list(software = list(R = as.character(getRversion()), lme4 = as.character(packageVersion("lme4"))), fits = fits)
jsonlite::write_json(out, commandArgs(TRUE)[1], auto_unbox = TRUE, digits = NA, pretty = TRUE)
