# Robust covariances of linear and generalized linear models: writes robust.json, with the data.
#
#   Rscript robust.R robust.json
#
# Needs R >= 4.2 with clubSandwich, lme4, sandwich, jsonlite. Compared with by tests/test_robust.py. The data are simulated,
# rounded and stored, so that they do not depend on R's random numbers.

suppressPackageStartupMessages({
  library(clubSandwich)
  library(lme4)
  library(sandwich)
})

arguments <- commandArgs(TRUE)
output <- if (length(arguments) >= 1) arguments[1] else "robust.json"
set.seed(20261127)

school <- rep(1:12, times = c(3, 5, 8, 4, 6, 9, 2, 7, 5, 6, 3, 8))
n <- length(school)
town <- (school - 1) %/% 2 + 1
class <- school * 10 + ave(school, school, FUN = function(s) seq_along(s) %% 2)
data <- data.frame(
  school, town, class,
  x = round(rnorm(n), 2),
  treated = as.integer(town %% 2 == 0),
  w = round(runif(n, 0.5, 2), 1)
)
data$y <- round(1 + data$x + 0.5 * data$treated + rnorm(12)[school] + rnorm(6, sd = 0.7)[town] +
  rnorm(n) * (0.5 + abs(data$x)), 2)
data$count <- rpois(n, exp(0.3 + 0.4 * data$x + 0.3 * rnorm(12)[school]))

kinds <- c("CR0", "CR1", "CR2", "CR3")
of <- function(model, cluster, ...) {
  list(
    estimate = unname(if (inherits(model, "merMod")) fixef(model) else coef(model)),
    se = sapply(kinds, function(kind) unname(sqrt(diag(vcovCR(model, cluster = cluster, type = kind, ...)))),
                simplify = FALSE),
    df = unname(coef_test(model, vcov = vcovCR(model, cluster = cluster, type = "CR2", ...), test = "Satterthwaite")[["df_Satt"]]),
    joint = sapply(c("CR2", "CR3"), function(kind) hotelling(model, cluster, kind, ...), simplify = FALSE)
  )
}
# That x and treated have no effect: F and the degrees of freedom of its denominator.
hotelling <- function(model, cluster, kind, ...) {
  test <- Wald_test(model, constrain_zero(2:3), vcov = vcovCR(model, cluster = cluster, type = kind, ...), test = "HTZ")
  c(test$Fstat, test$df_denom, test$p_val)
}
control <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-11, maxfun = 1e5))
least_squares <- lm(y ~ x + treated, data)
weighted <- lm(y ~ x + treated, data, weights = w)
mixed <- lmer(y ~ x + treated + (1 | school), data, control = control)
nested <- lmer(y ~ x + treated + (1 | school) + (1 | class), data, control = control)
slopes <- lmer(y ~ x + treated + (1 + x | school), data, control = control)
poisson <- glm(count ~ x + treated, poisson, data, control = glm.control(epsilon = 1e-14, maxit = 50))
result <- list(
  made_by = "tests/reference/robust.R", R = R.version.string,
  packages = lapply(setNames(nm = c("clubSandwich", "lme4", "sandwich")), function(p) as.character(packageVersion(p))),
  data = data,
  models = list(
    least_squares = c(formula = "y ~ x + treated", cluster = "school", of(least_squares, data$school)),
    weighted = c(formula = "y ~ x + treated", cluster = "school", weights = "w",
                 of(weighted, data$school, target = 1 / data$w)),
    mixed = c(formula = "y ~ x + treated + (1 | school)", cluster = "school", of(mixed, data$school)),
    above = c(formula = "y ~ x + treated + (1 | school)", cluster = "town", of(mixed, data$town)),
    nested = c(formula = "y ~ x + treated + (1 | school) + (1 | class)", cluster = "school", of(nested, data$school)),
    slopes = c(formula = "y ~ x + treated + (1 + x | school)", cluster = "school", of(slopes, data$school))
  ),
  poisson = list(
    formula = "count ~ x + treated", cluster = "school",
    rows = unname(sqrt(diag(vcovHC(poisson, type = "HC0")))),
    CR0 = unname(sqrt(diag(vcovCL(poisson, data$school, type = "HC0", cadjust = FALSE)))),
    CR1 = unname(sqrt(diag(vcovCL(poisson, data$school, type = "HC0", cadjust = TRUE)))),
    adjusted = of(poisson, data$school)
  )
)
writeLines(jsonlite::toJSON(result, digits = NA, auto_unbox = TRUE, dataframe = "columns"), output)
