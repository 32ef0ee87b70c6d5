# What emmeans makes of a model without random effects, whose estimates and covariance are exact: weights, averages of
# responses, sets of contrasts, adjustments for several tests, combinations that no row has.
#
#   cd tests/reference && Rscript marginal_means.R

suppressMessages({
  library(emmeans)
  library(jsonlite)
})

data <- read.csv(gzfile("data/Contraception.csv.gz"), colClasses = c(livch = "character"))
data$livch <- factor(data$livch, levels = c("0", "1", "2", "3+"))
data$urban <- factor(data$urban)
data$y <- as.integer(data$use == "Y")
tight <- glm.control(epsilon = 1e-14, maxit = 100)
fit <- glm(y ~ age + urban * livch, binomial, data, control = tight)
holes <- subset(data, !(urban == "Y" & livch == "2"))
incomplete <- glm(y ~ age + urban * livch, binomial, holes, control = tight)

rows <- function(grid, ...) {
  table <- as.data.frame(summary(grid, infer = TRUE, ...))
  names(table)[names(table) %in% c("emmean", "prob", "odds.ratio", "ratio", "response")] <- "estimate"
  names(table)[names(table) == "asymp.LCL"] <- "conf_low"
  names(table)[names(table) == "asymp.UCL"] <- "conf_high"
  table[intersect(c("estimate", "SE", "p.value", "conf_low", "conf_high"), names(table))]
}
quiet <- suppressMessages
livch <- quiet(emmeans(fit, ~livch))
averaged <- quiet(emmeans(regrid(ref_grid(fit)), ~livch))
set.seed(1)
single <- list(
  maxpts = 5e6, abseps = 1e-7, releps = 0
)
result <- list(
  about = "use ~ age + urban * livch of data/Contraception, binomial with logit link, no random effects",
  versions = list(R = as.character(getRversion()), emmeans = as.character(packageVersion("emmeans")),
                  mvtnorm = as.character(packageVersion("mvtnorm"))),
  equal = rows(livch),
  proportional = rows(quiet(emmeans(fit, ~livch, weights = "proportional"))),
  cell = rows(quiet(emmeans(fit, ~livch, weights = "cells"))),
  at = rows(quiet(emmeans(fit, ~urban, at = list(age = 10, livch = c("0", "3+"))))),
  averaged_responses = rows(averaged),
  ratios_of_averaged_responses = rows(pairs(regrid(averaged, transform = "log"), adjust = "none"), type = "response"),
  consecutive = rows(contrast(livch, "consec", adjust = "none")),
  reference = rows(contrast(livch, "trt.vs.ctrl", ref = 2, adjust = "none")),
  effects = rows(contrast(livch, "eff", adjust = "none")),
  custom = rows(contrast(livch, list(first = c(1, -1 / 3, -1 / 3, -1 / 3), last = c(-1, 0, -1, 2)), adjust = "none")),
  interaction = rows(quiet(contrast(emmeans(fit, ~urban * livch), interaction = c("pairwise", "consec")))),
  bh = rows(pairs(livch), adjust = "BH")["p.value"],
  dunnett = do.call(rows, c(list(contrast(livch, "trt.vs.ctrl"), adjust = "mvt"), single)),
  all_pairs_single_step = do.call(rows, c(list(pairs(livch), adjust = "mvt"), single)),
  incomplete = rows(quiet(emmeans(incomplete, ~livch))),
  incomplete_pairs = rows(pairs(quiet(emmeans(incomplete, ~livch)), adjust = "none")),
  incomplete_cell = rows(quiet(emmeans(incomplete, ~livch, weights = "cells")))
)
write(toJSON(result, dataframe = "columns", digits = NA, na = "null", auto_unbox = TRUE, pretty = FALSE), "marginal_means.json")
