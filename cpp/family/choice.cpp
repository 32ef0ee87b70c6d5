// Choices: of the rows of a set, its alternatives, one is chosen, with probabilities exp(eta_j) / sum_k exp(eta_k).
// "multinomial" has the categories of a response for alternatives, "conditional" those that the data list. What a row
// says depends on the others of its set, so that likelihood/choice has the density and its derivatives, and not the
// family. The prior weight multiplies a set's log density.
#include <stdexcept>

#include "family/registry.hpp"

namespace multilevel::family {

namespace {

class Choice final : public Family {
 public:
  explicit Choice(std::string name) : name_(std::move(name)) {}

  std::string name() const override { return name_; }
  std::string link() const override { return "logit"; }
  Support support() const override { return Support::choices; }
  std::string reference() const override {
    return name_ == "multinomial" ? "Hartzel, Agresti and Caffo (2001) Stat. Modelling 1:81-102"
                                  : "McFadden (1974), Conditional logit analysis of qualitative choice behavior";
  }

  Observation prepare(double y, double, double prior_weight, double* constant) const override {
    *constant = 0.0;
    return {y * prior_weight, 1.0, prior_weight};
  }

  void derivatives(Order, const Rows&, const RowDerivatives&) const override { none(); }
  void expected_information(const Rows&, double*) const override { none(); }
  double start_eta(const Observation&) const override { return 0.0; }
  double mean(double) const override { return none(); }
  double link_of_mean(double) const override { return none(); }
  double variance(double, const double*) const override { return none(); }
  double unit_deviance(double, double, const double*) const override { return none(); }

 private:
  [[noreturn]] double none() const { throw std::logic_error("family '" + name_ + "' is of whole sets of rows"); }

  std::string name_;
};

}  // namespace

std::vector<Entry> choice_entries() {
  return {
      {"multinomial", "logit", []() -> std::unique_ptr<Family> { return std::make_unique<Choice>("multinomial"); }},
      {"conditional", "logit", []() -> std::unique_ptr<Family> { return std::make_unique<Choice>("conditional"); }}};
}

}  // namespace multilevel::family
