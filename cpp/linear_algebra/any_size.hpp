// Vectors and square matrices of a cluster whose number of random effects is known at run time alone, with the
// operators and names of Eigen's that the clusters' formulas use. Up to twelve random effects their numbers are held in
// place, so that nothing is allocated in the loop over clusters.
//
// Eigen's types of a dynamic size would do, but a formula is then a template for every product in it, and the files
// with the clusters' derivatives take a minute to compile.
#pragma once

#include <algorithm>
#include <memory>

namespace multilevel::linear_algebra {

/// So many numbers: in place, or on the heap where they are more than Room.
template <int Room>
class Numbers {
 public:
  explicit Numbers(int n) : n_(n) {
    if (n > Room) heap_ = std::make_unique_for_overwrite<double[]>(static_cast<std::size_t>(n));
  }
  Numbers(const Numbers& other) : Numbers(other.n_) { std::copy_n(other.data(), n_, data()); }
  Numbers& operator=(const Numbers& other) {
    if (n_ != other.n_) {
      heap_ = other.n_ > Room ? std::make_unique_for_overwrite<double[]>(static_cast<std::size_t>(other.n_)) : nullptr;
      n_ = other.n_;
    }
    std::copy_n(other.data(), n_, data());
    return *this;
  }

  int count() const { return n_; }
  double* data() { return n_ > Room ? heap_.get() : in_place_; }
  const double* data() const { return n_ > Room ? heap_.get() : in_place_; }

 private:
  int n_;
  double in_place_[Room];
  std::unique_ptr<double[]> heap_;
};

inline constexpr int most_in_place = 12;

class AnyVector;

/// x' as the right factor of an outer product.
struct TransposedVector {
  const AnyVector& vector;
};

class AnyVector {
 public:
  explicit AnyVector(int q) : numbers_(q) {}
  AnyVector(const double* data, int q) : numbers_(q) { std::copy_n(data, q, numbers_.data()); }
  static AnyVector Zero(int q) {
    AnyVector r(q);
    r.setZero();
    return r;
  }

  int size() const { return numbers_.count(); }
  double* data() { return numbers_.data(); }
  const double* data() const { return numbers_.data(); }
  double& operator[](int a) { return data()[a]; }
  double operator[](int a) const { return data()[a]; }
  TransposedVector transpose() const { return {*this}; }

  void setZero() { std::fill_n(data(), size(), 0.0); }
  double dot(const AnyVector& other) const;
  double squaredNorm() const { return dot(*this); }
  bool allFinite() const;
  AnyVector& operator+=(const AnyVector& other);
  AnyVector& operator-=(const AnyVector& other);

 private:
  Numbers<most_in_place> numbers_;
};

AnyVector operator+(const AnyVector& x, const AnyVector& y);
AnyVector operator-(const AnyVector& x, const AnyVector& y);
AnyVector operator-(const AnyVector& x);
AnyVector operator*(double factor, const AnyVector& x);

/// x y', until it is added to a matrix; lives as long as x and y do.
struct OuterProduct {
  const AnyVector &x, &y;
};
inline OuterProduct operator*(const AnyVector& x, const TransposedVector& y) { return {x, y.vector}; }

class AnyMatrix;

/// A' as a factor.
struct TransposedMatrix {
  const AnyMatrix& matrix;
};

/// Square, column-major.
class AnyMatrix {
 public:
  AnyMatrix(int q, int columns) : numbers_(q * columns), q_(q) {}
  AnyMatrix(const double* data, int q, int columns) : AnyMatrix(q, columns) {
    std::copy_n(data, q * columns, numbers_.data());
  }
  AnyMatrix(const OuterProduct& product);
  AnyMatrix(const TransposedMatrix& transposed);
  static AnyMatrix Zero(int q, int columns) {
    AnyMatrix r(q, columns);
    std::fill_n(r.data(), r.count(), 0.0);
    return r;
  }
  static AnyMatrix Identity(int q, int columns) {
    AnyMatrix r = Zero(q, columns);
    for (int a = 0; a < q; ++a) r(a, a) = 1.0;
    return r;
  }

  int rows() const { return q_; }
  int count() const { return numbers_.count(); }
  double* data() { return numbers_.data(); }
  const double* data() const { return numbers_.data(); }
  double& operator()(int a, int b) { return data()[a + b * q_]; }
  double operator()(int a, int b) const { return data()[a + b * q_]; }
  TransposedMatrix transpose() const { return {*this}; }
  AnyVector row(int a) const;
  AnyVector col(int b) const { return {data() + b * q_, q_}; }
  double sum() const;

  AnyMatrix& operator+=(const AnyMatrix& other);
  AnyMatrix& operator-=(const AnyMatrix& other);
  AnyMatrix& operator+=(const OuterProduct& product);

 private:
  Numbers<most_in_place * most_in_place> numbers_;
  int q_;
};

AnyMatrix operator+(const AnyMatrix& x, const AnyMatrix& y);
AnyMatrix operator-(const AnyMatrix& x, const AnyMatrix& y);
AnyMatrix operator-(const AnyMatrix& x);
AnyMatrix operator*(double factor, const AnyMatrix& x);
AnyMatrix operator*(const AnyMatrix& x, const AnyMatrix& y);
AnyMatrix operator*(const TransposedMatrix& x, const AnyMatrix& y);
AnyMatrix operator*(const AnyMatrix& x, const TransposedMatrix& y);
AnyMatrix operator*(const TransposedMatrix& x, const TransposedMatrix& y);
AnyVector operator*(const AnyMatrix& x, const AnyVector& y);
AnyVector operator*(const TransposedMatrix& x, const AnyVector& y);

AnyMatrix lower_half_diagonal(const AnyMatrix& m);
AnyMatrix symmetric_from_lower(const AnyMatrix& m);
double sum_of_products(const AnyMatrix& x, const AnyMatrix& y);
inline AnyVector row_of(const AnyMatrix& m, int row) { return m.row(row); }
void add_to_row(AnyMatrix& m, int row, const AnyVector& x);
void add_to_column(AnyMatrix& m, int column, const AnyVector& x);
inline void set_column(AnyMatrix& m, int column, const AnyVector& x) {
  std::copy_n(x.data(), x.size(), m.data() + column * m.rows());
}

/// Numbers that stand elsewhere, as a vector or matrix.
class AnyVectorMap {
 public:
  AnyVectorMap(double* data, int q) : data_(data), q_(q) {}
  AnyVectorMap(const AnyVectorMap& other) = default;
  operator AnyVector() const { return {data_, q_}; }
  AnyVectorMap& operator=(const AnyVector& x) {
    std::copy_n(x.data(), q_, data_);
    return *this;
  }
  AnyVectorMap& operator=(const AnyVectorMap& x) {
    std::copy_n(x.data_, q_, data_);
    return *this;
  }
  AnyVectorMap& operator+=(const AnyVector& x) {
    for (int a = 0; a < q_; ++a) data_[a] += x[a];
    return *this;
  }
  AnyVectorMap& operator*=(double factor) {
    for (int a = 0; a < q_; ++a) data_[a] *= factor;
    return *this;
  }
  double* data() { return data_; }
  void setZero() { std::fill_n(data_, q_, 0.0); }
  double squaredNorm() const { return AnyVector(*this).squaredNorm(); }
  bool allFinite() const { return AnyVector(*this).allFinite(); }

 private:
  double* data_;
  int q_;
};

class AnyMatrixMap {
 public:
  AnyMatrixMap(double* data, int rows, int) : data_(data), q_(rows) {}
  operator AnyMatrix() const { return {data_, q_, q_}; }
  AnyMatrixMap& operator=(const AnyMatrix& x) {
    std::copy_n(x.data(), q_ * q_, data_);
    return *this;
  }

 private:
  double* data_;
  int q_;
};

}  // namespace multilevel::linear_algebra
