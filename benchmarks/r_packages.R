# One measurement of lme4, glmmTMB or ordinal in a process of its own; run.py calls
#   Rscript r_packages.R PACKAGE FORMULA FAMILY N_QUADRATURE N_CALLS DATA.csv SMALL.csv TEXT_COLUMNS ZERO DISPERSION
# and reads the lines "key value ..." that follow "RESULT". PACKAGE may be lme4nAGQ0, which is lme4 with nAGQ = 0;
# gaussian means REML. Starting R, loading packages and reading data is not timed; a fit of the small data comes first.
arguments <- commandArgs(trailingOnly = TRUE)
package <- sub("nAGQ0", "", arguments[1], fixed = TRUE)
formula <- as.formula(arguments[2])
family <- arguments[3]
n_quadrature <- if (package == arguments[1]) as.integer(arguments[4]) else 0L
n_calls <- as.integer(arguments[5])
text_columns <- strsplit(arguments[8], ",")[[1]]
zero_part <- as.formula(arguments[9])
dispersion <- as.formula(arguments[10])

suppressPackageStartupMessages(library(package, character.only = TRUE))

read <- function(path) {
  classes <- setNames(rep("character", length(text_columns)), text_columns)
  read.csv(path, colClasses = classes)
}

fit <- function(data) {
  if (package == "lme4") {
    # The default settings; for generalized models its derivatives at the optimum give the standard errors.
    model <- if (family == "gaussian") {
      lmer(formula, data = data)
    } else {
      glmer(formula, data = data, family = family, nAGQ = n_quadrature)
    }
    table <- summary(model)$coefficients
    evaluations <- model@optinfo$feval
    gradients <- NA
  } else if (package == "ordinal") {
    data$y <- factor(data$y, ordered = TRUE)
    model <- clmm(formula, data = data, Hess = TRUE)
    table <- summary(model)$coefficients
    evaluations <- NA
    gradients <- NA
  } else {
    names <- c(negative_binomial = "nbinom2", beta = "beta_family")
    family <- if (family %in% names(names)) names[[family]] else family
    family <- if (family == "gamma") Gamma(link = "log") else family
    model <- glmmTMB(
      formula,
      data = data, family = family, REML = identical(family, "gaussian"), ziformula = zero_part, dispformula = dispersion
    )
    table <- summary(model)$coefficients$cond
    evaluations <- model$fit$evaluations[[1]]
    gradients <- model$fit$evaluations[[2]]
  }
  list(model = model, estimates = table[, 1], errors = table[, 2], evaluations = evaluations, gradients = gradients)
}

status <- function(field) {
  line <- grep(paste0("^", field, ":"), readLines("/proc/self/status"), value = TRUE)
  as.numeric(strsplit(trimws(sub(".*:", "", line)), " ")[[1]][1]) / 1024
}

data <- read(arguments[6])
invisible(suppressMessages(suppressWarnings(fit(read(arguments[7])))))
invisible(gc())
invisible(try(writeLines("5", "/proc/self/clear_refs"), silent = TRUE))
before <- status("VmRSS")
wall <- cpu <- numeric(n_calls)
for (i in seq_len(n_calls)) {
  start <- proc.time()
  answer <- suppressMessages(suppressWarnings(fit(data)))
  spent <- proc.time() - start
  cpu[i] <- spent[["user.self"]] + spent[["sys.self"]]
  wall[i] <- spent[["elapsed"]]
}
peak <- status("VmHWM")

say <- function(key, value) cat(key, format(value, digits = 17), "\n")
loglik <- as.numeric(logLik(answer$model))
if (package == "lme4" && n_quadrature > 1) {
  # glmer leaves out the log-likelihood of the saturated model here; these rows are binary, for which it is zero
  stopifnot(all(model.response(model.frame(answer$model)) %in% c(0, 1)))
}
cat("RESULT\n")
say("n_rows", nrow(data))
say("wall", wall)
say("cpu", cpu)
say("memory_before", before)
say("memory_peak", peak)
say("loglik", loglik)
say("estimates", unname(answer$estimates))
say("standard_errors", unname(answer$errors))
say("n_evaluations", answer$evaluations)
say("n_gradients", answer$gradients)
cat("version", as.character(packageVersion(package)), "\n")
cat("r_version", as.character(getRversion()), "\n")
