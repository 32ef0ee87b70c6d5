# What nlme prints of three models: writes layouts.json.
#
#   Rscript layouts.R DATASETS layouts.json
#
# DATASETS is the folder python/multilevel/datasets. Needs R >= 4.2 with nlme, jsonlite. Compared with by
# tests/test_layouts.py.

suppressPackageStartupMessages(library(nlme))

arguments <- commandArgs(TRUE)
read <- function(name) read.csv(file.path(arguments[1], name), stringsAsFactors = TRUE)
sleepstudy <- read("sleepstudy.csv")
sleepstudy$Subject <- factor(sleepstudy$Subject)
hsb <- merge(read("hsb_pupils.csv"), read("hsb_schools.csv"))
hsb$sector <- factor(hsb$sector, levels = c("Public", "Catholic"))
hsb$minority <- factor(hsb$minority, levels = c("No", "Yes"))
pastes <- read("pastes.csv")
control <- lmeControl(msTol = 1e-12, tolerance = 1e-10, msMaxIter = 500, maxIter = 500)
of <- function(model) {
  page <- summary(model)
  sds <- suppressWarnings(as.numeric(VarCorr(model)[, "StdDev"]))
  list(
    aic = page$AIC, bic = page$BIC, loglik = as.numeric(page$logLik), sd = sds[!is.na(sds)],
    names = rownames(page$tTable), table = unname(page$tTable), residuals = unname(page$residuals),
    groups = unname(sapply(model$groups, function(g) length(unique(g))))
  )
}
result <- list(
  made_by = "tests/reference/layouts.R", R = R.version.string, nlme = as.character(packageVersion("nlme")),
  sleepstudy = of(lme(Reaction ~ Days, sleepstudy, random = ~ 1 + Days | Subject, control = control)),
  hsb = of(lme(mathach ~ ses * sector + minority, hsb, random = ~ ses | school, control = control)),
  pastes = of(lme(strength ~ 1, pastes, random = ~ 1 | batch / cask, control = control))
)
jsonlite::write_json(result, arguments[2], digits = NA, auto_unbox = TRUE, pretty = FALSE)
