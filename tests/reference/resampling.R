# Reference numbers of what follows from fitting again: writes resampling.json, which tests/test_bootstrap.py and
# tests/test_resampling_tests.py compare with.
#
#   Rscript resampling.R resampling.json
#
# Needs R >= 4.2 with boot, mice, lme4, pbkrtest, jsonlite. A minute.
#
# boot: the four intervals of replicates and jackknife values that are handed to it. mice: three completed data sets and what
# pool() makes of their regressions. pbkrtest: the bootstrap p-value of a likelihood-ratio test, which has a Monte Carlo error.

suppressPackageStartupMessages({
  library(boot)
  library(lme4)
  library(mice)
  library(pbkrtest)
})

arguments <- commandArgs(TRUE)
output <- if (length(arguments) >= 1) arguments[1] else "resampling.json"
result <- list(versions = lapply(c(boot = "boot", mice = "mice", lme4 = "lme4", pbkrtest = "pbkrtest"),
                                 function(p) as.character(packageVersion(p))))

# ---- intervals: the mean of a skewed sample, 999 replicates ----

set.seed(1)
x <- round(rexp(20), 4)
t <- replicate(999, mean(sample(x, replace = TRUE)^1.5))
t0 <- mean(x^1.5)
jackknife <- vapply(seq_along(x), function(i) mean(x[-i]^1.5), 0)
influence <- (length(x) - 1) * (mean(jackknife) - jackknife)
object <- structure(list(t0 = t0, t = matrix(t), R = 999, data = x, call = quote(boot(x)), sim = "ordinary"), class = "boot")
ends <- boot.ci(object, type = c("norm", "basic", "perc", "bca"), t0 = t0, t = t, L = influence)
result$intervals <- list(estimate = t0, replicates = t, jackknife = jackknife, level = 0.95,
                         normal = ends$normal[2:3], basic = ends$basic[4:5], percentile = ends$percent[4:5],
                         bca = ends$bca[4:5])

# ---- pooling ----

completed <- mice(nhanes, m = 3, seed = 1, printFlag = FALSE)
fits <- with(completed, lm(chl ~ age + bmi))
pooled <- summary(pool(fits), conf.int = TRUE)
own <- pool(fits)$pooled
result$pool <- list(
  data = lapply(1:3, function(i) complete(completed, i)[c("age", "bmi", "chl")]),
  table = cbind(pooled[c("term", "estimate", "std.error", "statistic", "df", "p.value")],
                low = pooled[["2.5 %"]], high = pooled[["97.5 %"]], within = own$ubar, between = own$b, increase = own$riv,
                missing_information = own$fmi, df_complete = own$dfcom))

# ---- a likelihood-ratio test ----

large <- lmer(Reaction ~ Days + I(Days^2) + (Days | Subject), sleepstudy, REML = FALSE)
small <- update(large, . ~ . - I(Days^2))
test <- PBmodcomp(large, small, nsim = 1000, seed = 1)
result$likelihood_ratio <- list(dataset = "sleepstudy", small = "Reaction ~ Days + (Days | Subject)",
                                large = "Reaction ~ Days + I(Days^2) + (Days | Subject)", statistic = test$test$stat[1],
                                p_value = test$test$p.value[2], n = 1000)

write(jsonlite::toJSON(result, digits = NA, auto_unbox = TRUE), output)
