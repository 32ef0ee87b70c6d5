# Vuong's tests of models of counts: writes vuong.json.
#
#   Rscript vuong.R robust.json vuong.json
#
# Needs R >= 4.2 with pscl, sandwich, jsonlite. Compared with by tests/test_vuong.py. The data are those of robust.json. z and
# its corrections are those that pscl prints (whose standard deviation has n - 1 in place of n); the weights are from the definition, with sandwich's
# scores, and the tail of their sum is Imhof's integral.

suppressPackageStartupMessages({
  library(pscl)
  library(sandwich)
})

arguments <- commandArgs(TRUE)
data <- as.data.frame(jsonlite::fromJSON(arguments[1])$data)
tight <- glm.control(epsilon = 1e-14, maxit = 50)
by_x <- glm(count ~ x, poisson, data, control = tight)
by_treated <- glm(count ~ treated, poisson, data, control = tight)
inflated <- zeroinfl(count ~ treated | 1, data, control = zeroinfl.control(reltol = 1e-15))

z <- function(a, b) {
  n <- nrow(data)
  m <- log(predprob(a)[cbind(1:n, data$count + 1)]) - log(predprob(b)[cbind(1:n, data$count + 1)])
  raw <- sqrt(n) * mean(m) / sd(m)
  k <- length(coef(a)) - length(coef(b))
  list(z = c(raw, raw - k / (sqrt(n) * sd(m)), raw - 0.5 * k * log(n) / (sqrt(n) * sd(m))),
       variance = var(m) * (n - 1) / n)
}
imhof <- function(x, weights) {
  f <- function(u) sapply(u, function(v) {
    sin(0.5 * sum(atan(weights * v)) - 0.5 * x * v) / (v * prod((1 + weights^2 * v^2)^0.25))
  })
  ends <- c(0, 2^(-10:40) / x)
  0.5 + sum(mapply(function(a, b) integrate(f, a, b, rel.tol = 1e-9, subdivisions = 5000, stop.on.error = FALSE)$value,
                   head(ends[ends < 4e3 / x], -1), ends[ends < 4e3 / x][-1])) / pi
}
s1 <- estfun(by_x)
s2 <- estfun(by_treated)
v1 <- vcov(by_x)
v2 <- vcov(by_treated)
w <- rbind(cbind(-crossprod(s1) %*% v1, -crossprod(s1, s2) %*% v2), cbind(crossprod(s2, s1) %*% v1, crossprod(s2) %*% v2))
poissons <- z(by_x, by_treated)
lambda <- Re(eigen(w)$values)
result <- list(
  made_by = "tests/reference/vuong.R", R = R.version.string,
  packages = lapply(setNames(nm = c("pscl", "sandwich")), function(p) as.character(packageVersion(p))),
  poissons = c(poissons, list(squares = sort(lambda^2), p = imhof(nrow(data) * poissons$variance, lambda^2))),
  inflated = z(by_x, inflated)
)
vuong(by_x, by_treated)
vuong(by_x, inflated)
writeLines(jsonlite::toJSON(result, digits = NA, auto_unbox = TRUE), arguments[2])
