# Reference fits with one grouping factor: writes one_grouping_factor.json, which tests/test_reference.py compares with.
#
#   Rscript one_grouping_factor.R one_grouping_factor.json [polls.csv]
#
# Needs R >= 4.2 with lme4, glmmTMB, mlmRev, MASS, nlme, numDeriv, statmod, jsonlite. Without polls.csv (the survey of
# Gelman & Hill 2007, chapter 14, which is not shipped) its fits are left out.
#
# The packages' own tolerances are loose (lme4's default log-likelihood of cbpp falls short of the maximum by 3e-4), so
# every fit ends with Newton steps on its own objective: exact gradients where there are any, else Richardson's.
# What no package offers (quadrature in two dimensions; quadrature around the mode with the observed curvature, for links
# that are not canonical) comes from the direct adaptive quadrature below.

suppressPackageStartupMessages({
  library(lme4)
  library(glmmTMB)
})

arguments <- commandArgs(TRUE)
output <- if (length(arguments) >= 1) arguments[1] else "one_grouping_factor.json"
version <- function(package) paste(package, as.character(packageVersion(package)))
fits <- list()

# ---- names as this project writes them ----

our_names <- function(names, data) {
  for (column in names(data)) {
    if (is.factor(data[[column]])) {
      for (level in levels(data[[column]])) {
        names <- sub(paste0("\\b", column, gsub("([+])", "\\\\\\1", level), "(?=$|:)"),
                     paste0(column, "[", level, "]"), names, perl = TRUE)
      }
    }
  }
  gsub("^", "**", names, fixed = TRUE)
}

blocks <- function(covariances, group, names) {
  lapply(seq_along(covariances), function(t) {
    v <- as.matrix(covariances[[t]])
    sd <- sqrt(diag(v))
    list(group = group, names = I(names[[t]]), sd = I(unname(sd)), corr = I(unname(v / outer(sd, sd))))
  })
}

add <- function(key, dataset, formula, family, link, points, loglik, fixed_names, estimate, se, random, source, sigma = NULL,
                weights = NULL) {
  fit <- list(
    dataset = dataset, formula = formula, family = family, link = link, n_quadrature = points, weights = weights,
    loglik = loglik, fixed = list(names = I(fixed_names), estimate = I(unname(estimate)), se = I(unname(se))),
    random = random, sigma = sigma, source = source
  )
  fits[[key]] <<- fit[!vapply(fit, is.null, TRUE)]
  cat(sprintf("%-32s %.9f\n", key, loglik))
}

# ---- Newton steps on a deviance ----

polish <- function(par, deviance, gradient = NULL, steps = 4) {
  derivative <- function(p) if (is.null(gradient)) numDeriv::grad(deviance, p) else gradient(p)
  curvature <- function(p) {
    if (is.null(gradient)) numDeriv::hessian(deviance, p) else numDeriv::jacobian(gradient, p)
  }
  for (i in seq_len(steps)) {
    h <- curvature(par)
    step <- solve((h + t(h)) / 2, derivative(par))
    par <- par - step
    if (max(abs(step) * sqrt(abs(diag(h)))) < 1e-7) break
  }
  h <- curvature(par)
  list(par = par, deviance = deviance(par), covariance = 2 * solve((h + t(h)) / 2))
}

# ---- lme4 ----

by_glmer <- function(key, dataset, data, ours, theirs, family, link = make_link(family), points = 1, tolerance = 1e-14) {
  control <- glmerControl(optimizer = "bobyqa", tolPwrss = tolerance, optCtrl = list(rhoend = 1e-9, maxfun = 1e5))
  fam <- if (family == "binomial") binomial(link) else poisson(link)
  model <- suppressWarnings(glmer(theirs, data, fam, control = control, nAGQ = points))
  # The deviance as a function of (theta, beta); for more than one point lme4 leaves out the saturated model's part.
  objective <- update(model, devFunOnly = TRUE)
  start <- c(getME(model, "theta"), fixef(model))
  best <- polish(start, function(p) objective(p))
  y <- model.response(model.frame(model))
  saturated <- 0
  if (points > 1 && family == "binomial") {
    saturated <- if (is.matrix(y)) sum(dbinom(y[, 1], rowSums(y), y[, 1] / rowSums(y), log = TRUE)) else 0
  } else if (points > 1) {
    saturated <- sum(dpois(y, y, log = TRUE))
  }
  n_theta <- length(getME(model, "theta"))
  lambda <- matrix(0, length(model@cnms[[1]]), length(model@cnms[[1]]))
  lambda[lower.tri(lambda, TRUE)] <- best$par[seq_len(n_theta)]
  rows <- n_theta + seq_along(fixef(model))
  add(key, dataset, ours, family, link, points, -best$deviance / 2 + saturated, our_names(names(fixef(model)), data),
      best$par[rows], sqrt(diag(best$covariance))[rows],
      blocks(list(lambda %*% t(lambda)), names(model@cnms)[1], list(our_names(model@cnms[[1]], data))), version("lme4"))
}

make_link <- function(family) c(binomial = "logit", poisson = "log")[[family]]

by_lmer <- function(key, dataset, data, ours, theirs, weights = NULL) {
  data$prior <- if (is.null(weights)) 1 else data[[weights]]
  control <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-11, maxfun = 1e5))
  model <- lmer(theirs, data, REML = FALSE, weights = prior, control = control)
  objective <- update(model, devFunOnly = TRUE)
  best <- polish(getME(model, "theta"), function(p) objective(p))
  # The fit at the polished theta.
  parsed <- lFormula(theirs, data, REML = FALSE, weights = prior)
  at <- do.call(mkLmerDevfun, parsed)
  at(best$par)
  model <- mkMerMod(environment(at), list(par = best$par, fval = at(best$par), conv = 0, message = NULL), parsed$reTrms, parsed$fr)
  v <- VarCorr(model)
  add(key, dataset, ours, "gaussian", "identity", 1, as.numeric(logLik(model)), our_names(names(fixef(model)), data),
      fixef(model), sqrt(diag(as.matrix(vcov(model)))),
      blocks(lapply(v, identity), names(model@cnms)[1], unname(model@cnms)), version("lme4"), sigma = sigma(model), weights = weights)
}

# ---- glmmTMB: the Laplace approximation with the observed curvature, exact gradients ----

by_glmmtmb <- function(key, dataset, data, ours, theirs, family, link) {
  model <- glmmTMB(theirs, data, binomial(link))
  best <- polish(model$fit$par, function(p) 2 * model$obj$fn(p), function(p) 2 * as.vector(model$obj$gr(p)))
  rows <- which(names(model$fit$par) == "beta")
  sd <- exp(best$par[names(model$fit$par) == "theta"])
  names_fixed <- names(fixef(model)$cond)
  group <- names(VarCorr(model)$cond)[1]
  add(key, dataset, ours, "binomial", link, 1, -best$deviance / 2, our_names(names_fixed, data), best$par[rows],
      sqrt(diag(best$covariance))[rows], blocks(list(matrix(unname(sd)^2)), group, list("(Intercept)")), version("glmmTMB"))
}

# ---- direct adaptive quadrature, one or two random effects ----

log_density <- function(family, link) {
  if (family == "poisson") {
    return(function(eta, y, n) list(l = dpois(y, exp(eta), log = TRUE), d1 = y - exp(eta), d2 = -exp(eta)))
  }
  inverse <- binomial(link)$linkinv
  slope <- binomial(link)$mu.eta
  bend <- switch(link, # d2 mu / d eta2
    logit = function(eta) inverse(eta) * (1 - inverse(eta)) * (1 - 2 * inverse(eta)),
    probit = function(eta) -eta * dnorm(eta),
    cloglog = function(eta) exp(eta - exp(eta)) * (1 - exp(eta)))
  function(eta, y, n) {
    mu <- inverse(eta)
    a <- y / mu - (n - y) / (1 - mu)
    list(l = dbinom(y, n, mu, log = TRUE), d1 = a * slope(eta),
         d2 = -(y / mu^2 + (n - y) / (1 - mu)^2) * slope(eta)^2 + a * bend(eta))
  }
}

by_quadrature <- function(key, dataset, data, ours, fixed, random, group, response, size, family, link, points) {
  X <- model.matrix(fixed, data)
  scale <- sqrt(colMeans(X^2)) # so that the optimizer meets parameters of one size
  X <- sweep(X, 2, scale, "/")
  Z <- model.matrix(random, data)
  q <- ncol(Z)
  stopifnot(q <= 2)
  g <- as.integer(factor(data[[group]]))
  y <- response
  density <- log_density(family, link)
  rule <- if (points == 1) list(nodes = 0, weights = 1) else statmod::gauss.quad.prob(points, "normal")
  index <- as.matrix(expand.grid(rep(list(seq_len(points)), q)))
  nodes <- matrix(rule$nodes[index], ncol = q)
  log_weight <- rowSums(matrix(log(rule$weights[index]), ncol = q)) + rowSums(nodes^2) / 2
  warm <- matrix(0, max(g), q)
  deviance <- function(par) {
    beta <- par[seq_len(ncol(X))]
    lambda <- matrix(0, q, q)
    lambda[lower.tri(lambda, TRUE)] <- par[-seq_len(ncol(X))]
    S <- Z %*% lambda
    o <- as.vector(X %*% beta)
    v <- warm
    for (i in 1:200) {
      d <- density(o + rowSums(S * v[g, , drop = FALSE]), y, size)
      gradient <- rowsum(S * d$d1, g) - v
      h <- lapply(seq_len(q), function(a) lapply(seq_len(a), function(b) as.vector(rowsum(-d$d2 * S[, a] * S[, b], g)) + (a == b)))
      if (q == 1) {
        step <- gradient / h[[1]][[1]]
      } else {
        det <- h[[1]][[1]] * h[[2]][[2]] - h[[2]][[1]]^2
        step <- cbind(h[[2]][[2]] * gradient[, 1] - h[[2]][[1]] * gradient[, 2],
                      h[[1]][[1]] * gradient[, 2] - h[[2]][[1]] * gradient[, 1]) / det
      }
      if (max(abs(step)) < 1e-13) break
      v <- v + step
    }
    warm <<- v
    # L L' = h; nodes at v + L^-T t
    L11 <- sqrt(h[[1]][[1]])
    if (q == 2) {
      L21 <- h[[2]][[1]] / L11
      L22 <- sqrt(h[[2]][[2]] - L21^2)
    }
    terms <- vapply(seq_len(nrow(nodes)), function(k) {
      at <- if (q == 1) v + nodes[k, 1] / L11 else {
        second <- nodes[k, 2] / L22
        v + cbind((nodes[k, 1] - L21 * second) / L11, second)
      }
      l <- density(o + rowSums(S * at[g, , drop = FALSE]), y, size)$l
      as.vector(rowsum(l, g)) - rowSums(at^2) / 2 + log_weight[k]
    }, numeric(max(g)))
    terms <- matrix(terms, nrow = max(g))
    top <- apply(terms, 1, max)
    log_L <- if (q == 1) log(L11) else log(L11) + log(L22)
    -2 * sum(top + log(rowSums(exp(terms - top))) - log_L)
  }
  glm_start <- suppressWarnings(glm.fit(X, if (all(size == 1)) y else y / size, weights = if (family == "binomial") size else NULL,
                                        family = if (family == "binomial") binomial(link) else poisson(link)))$coefficients
  start <- c(glm_start, if (q == 1) 0.5 else c(0.5, 0, 0.5))
  rough <- nlminb(start, deviance, control = list(rel.tol = 1e-10, iter.max = 500, eval.max = 1000))
  best <- polish(rough$par, deviance)
  lambda <- matrix(0, q, q)
  lambda[lower.tri(lambda, TRUE)] <- best$par[-seq_len(ncol(X))]
  rows <- seq_len(ncol(X))
  add(key, dataset, ours, family, link, points, -best$deviance / 2, our_names(colnames(X), data), best$par[rows] / scale,
      sqrt(diag(best$covariance))[rows] / scale, blocks(list(lambda %*% t(lambda)), group, list(our_names(colnames(Z), data))),
      paste0("direct adaptive quadrature (one_grouping_factor.R), ", R.version.string))
}

# ---- the fits ----

cbpp <- lme4::cbpp
ours <- "cbind(incidence, size - incidence) ~ period + (1 | herd)"
theirs <- cbind(incidence, size - incidence) ~ period + (1 | herd)
for (points in c(1, 5, 9, 25)) by_glmer(paste0("cbpp logit ", points), "cbpp", cbpp, ours, theirs, "binomial", points = points)
for (link in c("probit", "cloglog")) {
  by_glmmtmb(paste("cbpp", link, 1), "cbpp", cbpp, ours, theirs, "binomial", link)
  for (points in c(5, 9)) {
    by_quadrature(paste("cbpp", link, points), "cbpp", cbpp, ours, ~period, ~1, "herd", cbpp$incidence, cbpp$size, "binomial", link, points)
  }
  by_glmer(paste("cbpp", link, 25), "cbpp", cbpp, ours, theirs, "binomial", link, 25)
}

data(Contraception, package = "mlmRev")
ours <- "use ~ age + I(age**2) + urban + livch + (1 | district)"
theirs <- use ~ age + I(age^2) + urban + livch + (1 | district)
for (points in c(1, 9, 25)) by_glmer(paste("contraception", points), "contraception", Contraception, ours, theirs, "binomial", points = points)
ours <- "use ~ age + I(age**2) + urban + livch + (1 + urban | district)"
theirs <- use ~ age + I(age^2) + urban + livch + (1 + urban | district)
by_glmer("contraception slope 1", "contraception", Contraception, ours, theirs, "binomial")
used <- as.numeric(Contraception$use == "Y")
by_quadrature("contraception slope 15", "contraception", Contraception, ours, ~ age + I(age^2) + urban + livch, ~urban, "district", used,
              rep(1, length(used)), "binomial", "logit", 15)

bacteria <- MASS::bacteria
bacteria$late <- as.numeric(bacteria$week > 2)
ours <- "y ~ trt + late + (1 | ID)"
for (points in c(1, 25)) by_glmer(paste("bacteria", points), "bacteria", bacteria, ours, y ~ trt + late + (1 | ID), "binomial", points = points)
by_glmer("bacteria probit 25", "bacteria", bacteria, ours, y ~ trt + late + (1 | ID), "binomial", "probit", 25)

epil <- MASS::epil
epil$visit <- (epil$period - 2.5) / 5
epil$lbase <- log(epil$base / 4) - mean(log(epil$base / 4))
epil$lage <- log(epil$age) - mean(log(epil$age))
epil$trt <- factor(epil$trt, c("placebo", "progabide"))
ours <- "y ~ lbase * trt + lage + V4 + (1 | subject)"
for (points in c(1, 25)) by_glmer(paste("epil", points), "epil", epil, ours, y ~ lbase * trt + lage + V4 + (1 | subject), "poisson", points = points)
ours <- "y ~ lbase * trt + lage + visit + (visit | subject)"
by_glmer("epil slope 1", "epil", epil, ours, y ~ lbase * trt + lage + visit + (visit | subject), "poisson")
by_quadrature("epil slope 15", "epil", epil, ours, ~ lbase * trt + lage + visit, ~visit, "subject", epil$y, rep(1, nrow(epil)), "poisson", "log", 15)

data(MathAchieve, package = "nlme")
hsb <- data.frame(school = factor(as.character(MathAchieve$School)), ses = MathAchieve$SES, mathach = MathAchieve$MathAch)
hsb$cses <- hsb$ses - ave(hsb$ses, hsb$school)
hsb$mathhigh <- as.numeric(hsb$mathach > median(hsb$mathach))
by_glmer("hsb binary slope 1", "hsb", hsb, "mathhigh ~ cses + (cses | school)", mathhigh ~ cses + (cses | school), "binomial",
         tolerance = 1e-13) # below it the steps inside lme4 are lost in rounding
by_quadrature("hsb binary slope 15", "hsb", hsb, "mathhigh ~ cses + (cses | school)", ~cses, ~cses, "school", hsb$mathhigh, rep(1, nrow(hsb)),
              "binomial", "logit", 15)

sleepstudy <- lme4::sleepstudy
sleepstudy$w <- 1 + sleepstudy$Days %% 3
by_lmer("sleepstudy intercept", "sleepstudy", sleepstudy, "Reaction ~ Days + (1 | Subject)", Reaction ~ Days + (1 | Subject))
by_lmer("sleepstudy slope", "sleepstudy", sleepstudy, "Reaction ~ Days + (Days | Subject)", Reaction ~ Days + (Days | Subject))
by_lmer("sleepstudy independent", "sleepstudy", sleepstudy, "Reaction ~ Days + (Days || Subject)", Reaction ~ Days + (Days || Subject))
by_lmer("sleepstudy weighted", "sleepstudy", sleepstudy, "Reaction ~ Days + (Days | Subject)", Reaction ~ Days + (Days | Subject), "w")

if (length(arguments) >= 2) {
  polls <- read.csv(arguments[2], stringsAsFactors = FALSE)
  polls <- polls[!is.na(polls$bush), ]
  polls$edu_label <- factor(polls$edu_label, unique(polls$edu_label[order(polls$edu)]))
  polls$age_label <- factor(polls$age_label, unique(polls$age_label[order(polls$age)]))
  ours <- "bush ~ black + female + (1 | state_label)"
  for (points in c(1, 25)) by_glmer(paste("polls", points), "polls", polls, ours, bush ~ black + female + (1 | state_label), "binomial", points = points, tolerance = 1e-13)
  by_glmer("polls groups", "polls", polls, "bush ~ black + female + edu_label + age_label + (1 | state_label)",
           bush ~ black + female + edu_label + age_label + (1 | state_label), "binomial", tolerance = 1e-13)
  by_glmer("polls interaction", "polls", polls, "bush ~ black + female + edu_label * age_label + (1 | state_label)",
           bush ~ black + female + edu_label * age_label + (1 | state_label), "binomial", tolerance = 1e-13)
}

header <- list(made_by = "tests/reference/one_grouping_factor.R", R = R.version.string)
writeLines(jsonlite::toJSON(c(header, list(fits = fits)), auto_unbox = TRUE, digits = NA, pretty = TRUE), output)
