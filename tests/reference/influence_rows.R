# Fits without single rows: writes influence_rows.json.
#
#   Rscript influence_rows.R influence_rows.json
#
# Needs R >= 4.2 with lme4, jsonlite. Compared with by tests/test_influence_rows.py. Each model of lme4's own data is
# fitted to all rows, and without each of some; rows count from zero. The variances are those of the random effects in
# lme4's order, and the residual one.

suppressPackageStartupMessages(library(lme4))

linear <- lmerControl("bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e5), calc.derivs = FALSE)
general <- glmerControl("bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e5), calc.derivs = FALSE)

numbers <- function(fit) {
  components <- as.data.frame(VarCorr(fit))
  list(beta = unname(fixef(fit)), std_error = unname(sqrt(diag(as.matrix(vcov(fit, use.hessian = FALSE))))),
       variances = components$vcov[is.na(components$var2)], loglik = as.numeric(logLik(fit)))
}
without <- function(fit, data, rows) {
  list(rows = rows, whole = numbers(fit(data)), without = lapply(rows, function(i) numbers(fit(data[-(i + 1), ]))))
}

sleep <- function(data) lmer(Reaction ~ Days + (Days | Subject), data, control = linear)
crossed <- function(data) lmer(diameter ~ 1 + (1 | plate) + (1 | sample), data, control = linear)
herds <- function(data) {
  glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), data, binomial, control = general)
}
result <- list(sleepstudy = without(sleep, sleepstudy, c(0, 7, 56, 99, 130)),
               penicillin = without(crossed, Penicillin, c(0, 13, 89, 136, 143)),
               cbpp = without(herds, cbpp, c(0, 3, 13, 28, 51)))
writeLines(jsonlite::toJSON(result, digits = 10), commandArgs(TRUE)[1])
