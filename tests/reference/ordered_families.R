# Reference fits of ordered categories without random effects: writes ordered_families.json, which
# tests/test_ordered_families.py compares with.
#
#   Rscript ordered_families.R ordered_families.json
#
# The data are `wine` of ordinal. Needs R >= 4.2 with ordinal (a scale), VGAM (the other families) and jsonlite. VGAM's
# standard errors are of the expected information, and kept where that is the observed one.

suppressMessages({
  library(ordinal)
  library(VGAM)
  library(jsonlite)
})

data(wine, package = "ordinal")
fits <- list()
put <- function(key, fit, with_errors = TRUE) {
  own <- list(logLik = as.numeric(logLik(fit)), names = names(coef(fit)), estimate = unname(coef(fit)))
  if (with_errors) own$se <- unname(sqrt(diag(vcov(fit))))
  fits[[key]] <<- lapply(own, function(x) if (is.numeric(x)) signif(x, 12) else x)
}

control <- clm.control(gradTol = 1e-10, maxIter = 200)
for (link in c("logit", "probit", "cloglog", "loglog", "cauchit"))
  put(paste0("scale_", link), clm(rating ~ temp + contact, scale = ~contact, data = wine, link = link, control = control))
put("scale_nominal", clm(rating ~ temp, scale = ~ temp + contact, nominal = ~contact, data = wine, control = control))
put("scale_equidistant", clm(rating ~ contact, scale = ~temp, data = wine, threshold = "equidistant", control = control))

control <- vglm.control(epsilon = 1e-13, maxit = 100)
by_vglm <- function(key, call, formula = as.ordered(rating) ~ temp + contact, with_errors = FALSE)
  put(key, vglm(formula, eval(parse(text = call)), data = wine, control = control), with_errors)
by_vglm("acat", "acat(parallel = TRUE)", with_errors = TRUE)
by_vglm("acat_nominal", "acat(parallel = TRUE ~ temp - 1)", with_errors = TRUE)
by_vglm("sratio_nominal", "sratio(parallel = TRUE ~ temp - 1)")
for (link in c("logitlink", "probitlink", "clogloglink", "cauchitlink")) {
  by_vglm(paste0("sratio_", link), sprintf("sratio(link = '%s', parallel = TRUE)", link))
  by_vglm(paste0("reverse_", link), sprintf("sratio(link = '%s', parallel = TRUE, reverse = TRUE)", link))
}
by_vglm("cratio_clogloglink", "cratio(link = 'clogloglink', parallel = TRUE)")
write(toJSON(fits, digits = NA, auto_unbox = TRUE), commandArgs(TRUE)[1])
