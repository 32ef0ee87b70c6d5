# What ordinal predicts of ordered categories, with errors and intervals, and what emmeans makes of the same models.
#
#   cd tests/reference && Rscript ordered_categories.R

suppressMessages({
  library(ordinal)
  library(emmeans)
  library(jsonlite)
})

wine <- read.csv(gzfile("data/wine.csv.gz"), stringsAsFactors = TRUE)
wine$rating <- factor(wine$rating, ordered = TRUE)
wine$judge <- factor(wine$judge)
tight <- clm.control(gradTol = 1e-12, maxIter = 200L)
fits <- list(
  plain = clm(rating ~ temp + contact, data = wine, control = tight),
  nominal = clm(rating ~ temp, nominal = ~contact, data = wine, control = tight),
  mixed = clmm(rating ~ temp + contact + (1 | judge), data = wine, nAGQ = 10, control = clmm.control(gradTol = 1e-9))
)
new <- expand.grid(temp = c("cold", "warm"), contact = c("no", "yes"))
table_of <- function(grid) {
  table <- as.data.frame(summary(grid))
  names(table)[names(table) %in% c("emmean", "prob", "cumprob", "exc.prob", "mean.class", "cumprob.1")] <- "estimate"
  keep <- !sapply(table, is.numeric) | names(table) %in% c("estimate", "SE")
  table[keep]
}
quiet <- suppressMessages
means_of <- function(fit) {
  modes <- list(prob = ~ rating | temp, cum.prob = ~ cut | temp, exc.prob = ~ cut | temp, mean.class = ~temp, latent = ~temp,
                linear.predictor = ~ cut | temp)
  result <- list()
  for (mode in names(modes)) result[[mode]] <- table_of(quiet(emmeans(fit, modes[[mode]], mode = mode)))
  result$pairs_mean_class <- as.data.frame(pairs(quiet(emmeans(fit, ~temp, mode = "mean.class"))))[c("estimate", "SE")]
  result
}
predicted <- function(fit) {
  result <- predict(fit, new, type = "prob", se.fit = TRUE, interval = TRUE)
  list(fit = result$fit, se = result$se.fit, lower = result$lwr, upper = result$upr)
}
result <- list(
  about = "rating of data/wine: clm(temp + contact), clm(temp, nominal = contact), clmm(temp + contact + (1 | judge), nAGQ = 10)",
  versions = list(R = as.character(getRversion()), ordinal = as.character(packageVersion("ordinal")),
                  emmeans = as.character(packageVersion("emmeans"))),
  new = new,
  predict = lapply(fits[c("plain", "nominal")], predicted),
  emmeans = lapply(fits, means_of)
)
write(toJSON(result, dataframe = "columns", digits = NA, na = "null", auto_unbox = TRUE, pretty = FALSE), "ordered_categories.json")
