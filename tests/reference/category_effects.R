# What follows from fits of categories, of two programs: writes category_effects.json, which
# tests/test_category_effects.py compares with.
#
#   Rscript category_effects.R data/multinom_sim.csv.gz category_effects.json
#
# Categories without an order by nnet, a scale of ordered ones by ordinal (data `wine`), means by emmeans, no random
# effects. Needs R >= 4.2 with nnet, ordinal, emmeans and jsonlite.

suppressMessages({
  library(nnet)
  library(ordinal)
  library(emmeans)
  library(jsonlite)
})

given <- commandArgs(TRUE)
out <- list()
table_of <- function(grid, value) {
  own <- as.data.frame(summary(grid))
  list(estimate = signif(own[[value]], 10), se = signif(own$SE, 10))
}

sim <- read.csv(given[1], stringsAsFactors = TRUE)
nominal <- multinom(y ~ x * trt, data = sim, trace = FALSE, abstol = 1e-15, reltol = 1e-15, maxit = 500, Hess = TRUE)
at <- list(x = c(-1, 0.5))
out$nominal_prob <- table_of(emmeans(nominal, ~ y | trt + x, at = at, mode = "prob"), "prob")
out$nominal_over <- table_of(emmeans(nominal, ~y, at = list(x = 0.5), mode = "prob"), "prob")
out$nominal_pairs <- table_of(pairs(emmeans(nominal, ~ trt | y, at = list(x = 0.5), mode = "prob")), "estimate")

data(wine, package = "ordinal")
control <- clm.control(gradTol = 1e-10, maxIter = 200)
new <- expand.grid(temp = c("cold", "warm"), contact = c("no", "yes"))
for (link in c("logit", "probit", "cloglog")) {
  fit <- clm(rating ~ temp + contact, scale = ~ temp, data = wine, link = link, control = control)
  own <- predict(fit, new, type = "prob", se.fit = TRUE)
  out[[paste0("scale_", link)]] <- list(estimate = signif(c(t(own$fit)), 10), se = signif(c(t(own$se.fit)), 10))
  below <- predict(fit, new, type = "cum.prob", se.fit = TRUE)
  out[[paste0("scale_below_", link)]] <- list(
    estimate = signif(c(t(below$cprob1)), 10), se = signif(c(t(below$se.cprob1)), 10)
  )
}
fit <- clm(rating ~ temp + contact, scale = ~ temp, data = wine, control = control)
out$scale_means <- table_of(emmeans(fit, ~temp, mode = "mean.class"), "mean.class")
write(toJSON(out, digits = NA, auto_unbox = TRUE), given[2])
