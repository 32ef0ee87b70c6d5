# Degrees of freedom, F tests, deviance tests and regressions per group: writes degrees_of_freedom.json, with the data.
#
#   Rscript degrees_of_freedom.R degrees_of_freedom.json
#
# Needs R >= 4.2 with lme4, lmerTest, pbkrtest, nlme, jsonlite. Compared with by tests/test_degrees_of_freedom.py,
# test_anova.py, test_compare.py and test_lm_list.py. Simulated data are rounded and stored, so that they do not depend on
# R's random numbers. lmerTest differences the deviance numerically, so fits are made with tight tolerances.

suppressPackageStartupMessages({
  library(lme4)
  library(lmerTest)
  library(pbkrtest)
  library(nlme)
})

arguments <- commandArgs(TRUE)
output <- if (length(arguments) >= 1) arguments[1] else "degrees_of_freedom.json"
control <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-11, maxfun = 1e5),
                       check.conv.singular = "ignore", check.conv.grad = "ignore", check.conv.hess = "ignore",
                       check.rankX = "silent.drop.cols")
rows <- function(frame) lapply(seq_len(nrow(frame)), function(i) as.list(frame[i, , drop = FALSE]))

# ---- data ----

set.seed(20)
factorial <- expand.grid(subject = factor(1:14), a = factor(c("low", "mid", "high"), c("low", "mid", "high")),
                         b = factor(c("no", "yes")), rep = 1:2)
factorial$x <- round(rnorm(nrow(factorial)) + 0.3 * (factorial$a == "high"), 2)
factorial$y <- round(10 + 2 * rnorm(14)[factorial$subject] + (as.integer(factorial$a) - 2) * (0.8 + rnorm(14, sd = 0.7)[factorial$subject]) +
                       0.5 * factorial$x + 0.9 * (factorial$b == "yes" & factorial$a == "mid") + rnorm(nrow(factorial)), 2)
factorial <- factorial[sort(sample(nrow(factorial), 97)), c("y", "subject", "a", "b", "x")]
empty <- factorial[!(factorial$a == "high" & factorial$b == "yes"), ]
holes <- factorial
holes$c <- factor(c("p", "q", "r")[1 + seq_len(nrow(holes)) %% 3])
holes <- holes[!(holes$a == "high" & holes$c == "q") & !(holes$a == "mid" & holes$b == "yes" & holes$c == "r"), ]

crossed <- expand.grid(subject = factor(sprintf("s%02d", 1:13)), item = factor(sprintf("i%d", 1:9)))
crossed$kind <- factor(ifelse(as.integer(crossed$item) %% 3 == 0, "new", "old"), c("old", "new"))
crossed$age <- round(runif(13, 20, 60))[crossed$subject]
crossed$y <- round(5 + 1.2 * rnorm(13)[crossed$subject] + 0.8 * rnorm(9)[crossed$item] + (0.5 + 0.9 * rnorm(13)[crossed$subject]) *
                     (crossed$kind == "new") + rnorm(nrow(crossed)), 2)
crossed <- crossed[sort(sample(nrow(crossed), 88)), ]

nested <- expand.grid(pupil = 1:6, class = 1:4, school = 1:8)
nested$class <- factor(nested$school * 10 + nested$class)
nested$school <- factor(nested$school)
nested$size <- round(runif(32, 15, 30))[nested$class]
nested$public <- factor(c("no", "yes")[1 + (as.integer(nested$school) %% 2)])
nested$x <- round(rnorm(nrow(nested)), 2)
nested$y <- round(50 + 3 * rnorm(8)[nested$school] + 2 * rnorm(32)[nested$class] + nested$x * (1 + 0.5 * rnorm(8)[nested$school]) +
                    2 * rnorm(nrow(nested)), 2)
nested <- nested[sort(sample(nrow(nested), 150)), c("y", "school", "class", "size", "public", "x")]

# A variance of exactly zero: the subjects' means differ by less than the noise would make them.
singular <- data.frame(subject = factor(rep(1:10, each = 4)), x = rep(c(0, 1, 2, 4), 10))
singular$y <- round(1 + 0.3 * singular$x + resid(lm(rnorm(40) ~ singular$subject)), 2)

sleepstudy <- as.data.frame(lme4::sleepstudy)
sleepstudy$w <- 1 + sleepstudy$Days %% 3
data(MathAchieve, package = "nlme")
data(MathAchSchool, package = "nlme")
hsb <- data.frame(school = factor(as.character(MathAchieve$School)), ses = MathAchieve$SES, mathach = MathAchieve$MathAch)
hsb$sector <- factor(MathAchSchool$Sector[match(as.character(hsb$school), as.character(MathAchSchool$School))], c("Public", "Catholic"))
hsb$meanses <- ave(hsb$ses, hsb$school)
hsb$cses <- hsb$ses - hsb$meanses
oats <- as.data.frame(nlme::Oats)
oats <- data.frame(yield = oats$yield, Block = factor(as.character(oats$Block)), Variety = factor(as.character(oats$Variety)), nitro = oats$nitro)
oxide <- as.data.frame(nlme::Oxide)
oxide <- data.frame(thickness = oxide$Thickness, source = oxide$Source, lot = factor(as.character(oxide$Lot)), wafer = factor(paste0(oxide$Lot, oxide$Wafer)),
                    site = as.integer(oxide$Site))
data <- list(factorial = factorial, empty = empty, holes = holes, crossed = crossed, nested = nested, singular = singular, sleepstudy = sleepstudy,
             hsb = hsb, oats = oats, oxide = oxide, Pastes = as.data.frame(lme4::Pastes), Penicillin = as.data.frame(lme4::Penicillin))

# ---- lmerTest and pbkrtest ----

fits <- list()
lmm <- function(key, dataset, formula, reml = TRUE, weights = NULL, anovas = TRUE, kr = reml && is.null(weights)) {
  frame <- data[[dataset]]
  frame$prior <- if (is.null(weights)) rep(1, nrow(frame)) else frame[[weights]]
  model <- suppressMessages(suppressWarnings(lmerTest::lmer(formula, frame, REML = reml, weights = prior, control = control)))
  full <- summary(model, ddf = "Satterthwaite")$coefficients
  result <- list(dataset = dataset, formula = paste(deparse(formula, width.cutoff = 500), collapse = ""), method = if (reml) "reml" else "ml",
                 weights = weights, loglik = as.numeric(logLik(model)), theta = I(unname(getME(model, "theta"))), sigma = sigma(model),
                 singular = isSingular(model),
                 names = I(rownames(full)), estimate = I(unname(full[, 1])), se = I(unname(full[, 2])), satterthwaite = I(unname(full[, "df"])))
  if (kr) {
    small <- summary(model, ddf = "Kenward-Roger")$coefficients
    result$kenward_roger <- I(unname(small[, "df"]))
    result$se_kenward_roger <- I(unname(small[, 2]))
    result$vcov_kenward_roger <- unname(as.matrix(vcovAdj(model)))
  }
  if (anovas) {
    for (method in c("Satterthwaite", if (kr) "Kenward-Roger")) {
      for (type in 1:3) {
        table <- anova(model, type = type, ddf = method)
        result$anova[[if (method == "Satterthwaite") "satterthwaite" else "kenward-roger"]][[as.character(type)]] <-
          list(terms = I(rownames(table)), sum_sq = I(table[["Sum Sq"]]), mean_sq = I(table[["Mean Sq"]]), num_df = I(table[["NumDF"]]),
               den_df = I(table[["DenDF"]]), f_value = I(table[["F value"]]), p_value = I(table[["Pr(>F)"]]))
      }
    }
  }
  fits[[key]] <<- result[!vapply(result, is.null, TRUE)]
  cat(sprintf("%-28s %.8f\n", key, logLik(model)))
  invisible(model)
}

lmm("sleepstudy intercept", "sleepstudy", Reaction ~ Days + (1 | Subject))
lmm("sleepstudy slope", "sleepstudy", Reaction ~ Days + (Days | Subject))
lmm("sleepstudy independent", "sleepstudy", Reaction ~ Days + (Days || Subject))
lmm("sleepstudy ml", "sleepstudy", Reaction ~ Days + (Days | Subject), reml = FALSE)
lmm("sleepstudy weighted", "sleepstudy", Reaction ~ Days + (Days | Subject), weights = "w")
lmm("sleepstudy quadratic", "sleepstudy", Reaction ~ Days + I(Days^2) + (Days | Subject))
lmm("hsb slope", "hsb", mathach ~ meanses * cses + sector * cses + (cses | school))
lmm("hsb intercept", "hsb", mathach ~ meanses * cses + sector * cses + (1 | school))
lmm("hsb ml", "hsb", mathach ~ meanses * cses + sector * cses + (cses | school), reml = FALSE)
lmm("factorial", "factorial", y ~ a * b + (1 | subject))
lmm("factorial covariate", "factorial", y ~ a * b + a * x + (1 | subject))
lmm("factorial all", "factorial", y ~ a * b * x + (1 | subject))
lmm("factorial ml", "factorial", y ~ a * b + x + (1 | subject), reml = FALSE)
lmm("factorial slope", "factorial", y ~ a * b + x + (1 + x | subject))
lmm("factorial nested terms", "factorial", y ~ a / b + (1 | subject))
lmm("empty cell", "empty", y ~ a * b + x + (1 | subject))
lmm("empty cells", "holes", y ~ a * b * c + (1 | subject))
lmm("empty cells covariate", "holes", y ~ a * c + b * c + a * x + (1 | subject))
lmm("crossed", "crossed", y ~ kind * age + (1 + kind | subject) + (1 | item))
lmm("crossed intercepts", "crossed", y ~ kind + age + (1 | subject) + (1 | item))
lmm("nested", "nested", y ~ public * x + size + (1 | school) + (1 | class))
lmm("nested slope", "nested", y ~ public + x + size + (1 + x | school) + (1 | class))
lmm("singular", "singular", y ~ x + (1 | subject))
lmm("singular correlation", "singular", y ~ x + (1 + x | subject))
lmm("oats", "oats", yield ~ Variety * nitro + (1 | Block) + (1 | Block:Variety))
lmm("oxide", "oxide", thickness ~ source + (1 | lot) + (1 | wafer))
lmm("Pastes", "Pastes", strength ~ 1 + (1 | batch) + (1 | sample), anovas = FALSE)
lmm("Penicillin", "Penicillin", diameter ~ 1 + (1 | plate) + (1 | sample), anovas = FALSE)

# ---- containment as nlme has it: per coefficient ----

containment <- list()
lme_df <- function(key, dataset, ours, fixed, random) {
  model <- lme(fixed, data[[dataset]], random = random, control = lmeControl(opt = "optim", maxIter = 200, msMaxIter = 500, returnObject = TRUE))
  containment[[key]] <<- list(dataset = dataset, formula = ours, names = I(names(fixef(model))), df = I(unname(model$fixDF$X)),
                              terms = I(names(model$fixDF$terms)), term_df = I(as.numeric(model$fixDF$terms)))
}
lme_df("hsb", "hsb", "mathach ~ meanses * cses + sector * cses + (cses | school)", mathach ~ meanses * cses + sector * cses, ~cses | school)
lme_df("sleepstudy", "sleepstudy", "Reaction ~ Days + (Days | Subject)", Reaction ~ Days, ~Days | Subject)
lme_df("sleepstudy without intercept", "sleepstudy", "Reaction ~ 0 + Days + (1 | Subject)", Reaction ~ 0 + Days, ~1 | Subject)
lme_df("nested", "nested", "y ~ public * x + size + (1 | school / class)", y ~ public * x + size, ~1 | school / class)
lme_df("nested without intercept", "nested", "y ~ 0 + public * x + size + (1 | school / class)", y ~ 0 + public * x + size, ~1 | school / class)
lme_df("oats", "oats", "yield ~ Variety * nitro + (1 | Block / Variety)", yield ~ Variety * nitro, ~1 | Block / Variety)
lme_df("oxide", "oxide", "thickness ~ source + (1 | lot) + (1 | wafer)", thickness ~ source, ~1 | lot / wafer)
lme_df("factorial", "factorial", "y ~ a * b + a * x + (1 | subject)", y ~ a * b + a * x, ~1 | subject)
lme_df("Pastes", "Pastes", "strength ~ 1 + (1 | batch) + (1 | sample)", strength ~ 1, ~1 | batch / sample)

# ---- deviance tests ----

compare <- list()
lrt <- function(key, dataset, formulas, reml = FALSE, weights = NULL) {
  frame <- data[[dataset]]
  models <- lapply(formulas, function(f) suppressMessages(lme4::lmer(f, frame, REML = reml, control = control)))
  table <- do.call(anova, c(unname(models), list(refit = FALSE)))
  compare[[key]] <<- list(dataset = dataset, formulas = I(vapply(formulas, function(f) paste(deparse(f, width.cutoff = 500), collapse = ""), "")),
                          method = if (reml) "reml" else "ml", npar = I(table$npar), aic = I(table$AIC), bic = I(table$BIC), loglik = I(table$logLik),
                          deviance = I(table$deviance), chi2 = I(table$Chisq), df = I(table$Df), p_value = I(table[["Pr(>Chisq)"]]))
}
lrt("sleepstudy ml", "sleepstudy", list(Reaction ~ 1 + (1 | Subject), Reaction ~ Days + (1 | Subject), Reaction ~ Days + (Days | Subject)))
lrt("sleepstudy reml", "sleepstudy", list(Reaction ~ Days + (1 | Subject), Reaction ~ Days + (Days || Subject), Reaction ~ Days + (Days | Subject)), reml = TRUE)
lrt("factorial", "factorial", list(y ~ 1 + (1 | subject), y ~ a + (1 | subject), y ~ a * b + (1 | subject), y ~ a * b + x + (1 | subject)))

# ---- regressions per group ----

lists <- list()
by_group <- function(key, dataset, ours, formula) {
  model <- lmList(formula, data[[dataset]])
  table <- summary(model)$coefficients # groups, (estimate, se, t, p), terms
  pooled <- intervals(model)
  own <- lapply(model, function(fit) if (is.null(fit)) matrix(NA, ncol(coef(model)), 2) else confint(fit))
  side <- function(k) unname(t(vapply(own, function(m) m[, k], numeric(ncol(coef(model))))))
  flat <- function(a) unname(as.matrix(a))
  lists[[key]] <<- list(dataset = dataset, formula = ours, groups = I(rownames(coef(model))), names = I(names(coef(model))), coef = flat(coef(model)),
                        sigma = summary(model)$RSE, df = sum(summary(model)$df.residual), se = flat(table[, "Std. Error", ]), t = flat(table[, "t value", ]), p = flat(table[, "Pr(>|t|)", ]),
                        lower = flat(pooled[, "lower", ]), upper = flat(pooled[, "upper", ]), lower_own = side(1), upper_own = side(2),
                        loglik = as.numeric(logLik(model)))
}
by_group("sleepstudy", "sleepstudy", "Reaction ~ Days | Subject", Reaction ~ Days | Subject)
by_group("hsb", "hsb", "mathach ~ cses | school", mathach ~ cses | school)
by_group("factorial", "factorial", "y ~ b + x | subject", y ~ b + x | subject)

stored <- lapply(data[c("factorial", "empty", "holes", "crossed", "nested", "singular", "oats", "oxide", "Pastes", "Penicillin")], function(frame) {
  list(columns = lapply(as.list(frame), function(v) if (is.factor(v)) I(as.character(v)) else I(v)),
       levels = lapply(Filter(is.factor, as.list(frame)), function(v) I(levels(v))))
})
versions <- vapply(c("lme4", "lmerTest", "pbkrtest", "nlme"), function(p) as.character(packageVersion(p)), "")
header <- list(made_by = "tests/reference/degrees_of_freedom.R", R = R.version.string, packages = as.list(versions))
writeLines(jsonlite::toJSON(c(header, list(data = stored, fits = fits, containment = containment, compare = compare, lm_list = lists)),
                            auto_unbox = TRUE, digits = NA, na = "null"), output)
